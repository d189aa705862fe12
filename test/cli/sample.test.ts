/** `elf sample`: solvers, lengths, blanks, early stopping, and what it refuses. One process; the rest without. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { Samplers } from "../../src/flow/index.ts"
import { type SampleRequest, sampleTexts } from "../../src/cli/sampleTexts.ts"
import { inFolder } from "../io/support.ts"
import { testEngine } from "../support/backend.ts"
import { writeTinyCheckpoint } from "../support/tinyCheckpoint.ts"
import { elf } from "./process.ts"

layer(testEngine)("sampleTexts", (it) => {
  const sampled = (checkpoint: string) => (change: SampleRequest["change"], template?: string) =>
    sampleTexts({ checkpoint, change: { count: 1, ...change }, ...(template === undefined ? {} : { template }) })

  it.effect("takes every solver of the table, and counts its evaluations", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const sample = sampled(yield* writeTinyCheckpoint(folder))
        const results = yield* Effect.forEach(Samplers.solverNames, (solver) => sample({ solver, steps: 4, churn: solver === "sde" ? 0 : 2 }))
        assert.deepStrictEqual(results.map(({ evaluations }) => evaluations), [4, 4, 7, 7, 4])
      })))

  it.effect("fills the blanks of a text as often as it is asked to, and keeps its length", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const sample = sampled(yield* writeTinyCheckpoint(folder))
        const { texts, tokens } = yield* sample({ count: 18 }, "The ___ of the ___{2} Union")
        assert.strictEqual(texts.length, 18)
        assert.deepStrictEqual(new Set(tokens), new Set([7]))
        texts.forEach((text) => assert.match(text, /^The.* of the.* Union$/))
        const longer = yield* sample({ length: 9, stopWhenStable: 1 }, "The state of the Union")
        assert.deepStrictEqual(longer.tokens, [9])
        assert.match(longer.texts[0]!, /^The state of the Union/)
      })))

  it.effect("writes from noise without the encoder's weights; a text of a given length needs them", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const checkpoint = yield* writeTinyCheckpoint(folder)
        const sample = sampled(checkpoint)
        const { texts } = yield* sample({ count: 2 })
        rmSync(join(folder, "encoder", "model.safetensors"))
        assert.deepStrictEqual((yield* sample({ count: 2 })).texts, texts)
        assert.include((yield* Effect.flip(sample({ length: 9 }))).message, "model.safetensors")
      })))

  it.effect("refuses in one sentence what does not go together", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const sample = sampled(yield* writeTinyCheckpoint(folder))
        const refused = (change: SampleRequest["change"], template?: string) => Effect.map(Effect.flip(sample(change, template)), ({ message }) => message)
        assert.deepStrictEqual([
          yield* refused({ churn: 1 }),
          yield* refused({ length: 17 }),
          yield* refused({}, "a ___{0} b"),
          yield* refused({}, "a ___{99} b")
        ], [
          "--churn must be 0 with sde, whose churn is gamma; give another --solver, or leave it out, not 1.",
          "--length must be at most 16, the positions of the network, not 17.",
          "\"a ___{0} b\": it has a blank without a length. Write ___ for one token, ___{5} for five.",
          "Template 0: its text is to have 103 tokens, and the network has 16 positions. Ask for fewer."
        ])
      })))
})

describe("elf sample", () => {
  it.effect("takes all of it on the command line", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const checkpoint = yield* writeTinyCheckpoint(folder)
        const options = ["--solver", "heun", "--churn", "2", "--steps", "3", "--infill", "The ___{3}, and", "--length", "9", "--stop-when-stable", "1", "--count", "2"]
        const { code, stderr, stdout } = yield* Effect.promise(() => elf(["sample", "--checkpoint", checkpoint, ...options, "--stream"]))
        assert.strictEqual(code, 0, stderr)
        assert.match(stdout, /^1\. The.*, and.*\n2\. The.*, and.*\n$/)
        assert.include(stderr, "t 1.00")
        const refused = yield* Effect.promise(() => elf(["sample", "--checkpoint", checkpoint, "--stop-when-stable", "0"]))
        assert.deepStrictEqual([refused.code, refused.stdout], [1, ""])
        assert.include(refused.stderr, "error: --stop-when-stable must be at least 1, not 0.\n")
      })), 90_000)
})

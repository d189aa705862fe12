import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { Checkpoint } from "../../src/io/index.ts"
import { elf } from "./process.ts"
import { tensorsOf } from "./tensors.ts"
import { tinyFolder, writeRunFile } from "./tinyRun.ts"

const run = (...arguments_: ReadonlyArray<string>) => Effect.promise(() => elf(arguments_))

/** Two rounds of four steps, in `directory`. */
const distillation = (directory: string, change: Record<string, unknown> = {}) => ({
  teacher: "teacher",
  rounds: [{ studentSteps: 4, teacherSteps: 2 }, { studentSteps: 2, teacherSteps: 4 }],
  stepsPerRound: 4,
  warmupSteps: 1,
  directory,
  ...change
})

const shared = { checkpoint: { directory: "teacher", every: 2 }, log: { every: 1, file: "metrics.jsonl" } }

/** A folder with a trained teacher. */
const taughtFolder = Effect.tap(tinyFolder, (folder) =>
  Effect.gen(function*() {
    const { code, stderr } = yield* run("train", yield* writeRunFile(folder, "teacher.json", { ...shared, optimizer: { steps: 3 } }))
    assert.strictEqual(code, 0, stderr)
  }))

interface Summary {
  readonly rounds: ReadonlyArray<{ readonly round: number; readonly studentSteps: number; readonly steps: number; readonly checkpoint: string; readonly heldOutAfter?: number }>
  readonly checkpoint: string
}

describe("elf distill", () => {
  it.effect("runs the curriculum; one that stopped and went on equals one that did not, bit for bit", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* taughtFolder
      const whole = yield* writeRunFile(folder, "whole.json", { ...shared, distillation: distillation("whole"), data: { heldOut: "texts.parquet" } })
      const { code, stderr, stdout } = yield* run("distill", whole, "--json")
      assert.strictEqual(code, 0, stderr)
      assert.match(stderr, /^round 1\/2: 4 student steps, each for 2 of the teacher$/m)
      assert.match(stderr, /^round 2\/2: 2 student steps, each for 4 of the teacher$/m)
      const summary = JSON.parse(stdout) as Summary
      const last = join(folder, "whole", "round-2-steps-2", "step-00000004")
      assert.deepStrictEqual(summary.rounds.map(({ round, steps, studentSteps }) => [round, studentSteps, steps]), [[1, 4, 4], [2, 2, 4]])
      assert.strictEqual(summary.checkpoint, last)
      assert.isTrue(summary.rounds.every(({ heldOutAfter }) => heldOutAfter! > 0))
      const log = yield* Effect.promise(() => readFile(join(folder, "whole", "round-1-steps-4", "metrics.jsonl"), "utf8"))
      assert.match(log, /"step":4,/)

      const parts = yield* writeRunFile(folder, "parts.json", { ...shared, distillation: distillation("parts") })
      const stopped = yield* Effect.promise(() => elf(["distill", parts], { interruptAt: "round 2/2" }))
      assert.strictEqual(stopped.code, 130, stopped.stderr)
      const resumed = yield* run("distill", parts, "--resume")
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      assert.notMatch(resumed.stderr, /round 1\/2/)
      assert.deepStrictEqual(yield* tensorsOf(join(folder, "parts", "round-2-steps-2")), yield* tensorsOf(last))
      const again = yield* run("distill", parts)
      assert.strictEqual(again.code, 1)
      assert.include(again.stderr, "--resume")
    })), 120_000)

  it.effect("each round starts from the averaged student of the one before, and its checkpoint samples in as many steps; what is missing or does not fit is said in a sentence", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* taughtFolder
      // A warm-up of one step moves nothing in a round of one step: what a round ends with is what it started from.
      const still = { stepsPerRound: 1, warmupSteps: 1 }
      const file = yield* writeRunFile(folder, "run.json", { ...shared, distillation: distillation("still", still) })
      assert.strictEqual((yield* run("distill", file)).code, 0)
      const weights = (path: string, section: string) =>
        Effect.map(Effect.flatMap(Checkpoint.read(path), (checkpoint) => checkpoint.section(section)), (tensors) =>
          Array.from(tensors.values(), ({ data, name }) => [name, Array.from(data)] as const))
      const teacher = yield* weights(join(folder, "teacher"), "ema")
      const last = join(folder, "still", "round-2-steps-2")
      assert.deepStrictEqual(yield* weights(join(folder, "still", "round-1-steps-4"), "model"), teacher)
      assert.deepStrictEqual(yield* weights(last, "model"), teacher)
      const { code, stderr, stdout } = yield* run("sample", "--checkpoint", last, "--count", "1", "--json")
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual((JSON.parse(stdout) as { readonly choice: { readonly steps: number } }).choice.steps, 2)

      const without = yield* run("distill", yield* writeRunFile(folder, "without.json", shared))
      assert.strictEqual(without.code, 1)
      assert.match(without.stderr, /distillation: this section must be given/)
      const other = yield* writeRunFile(folder, "other.json", { ...shared, model: { hidden: 32 }, flow: { noiseScale: 1 }, distillation: distillation("other") })
      const misfit = yield* run("distill", other)
      assert.strictEqual(misfit.code, 1)
      assert.match(misfit.stderr, /does not fit this run: model\.hidden is 32, the teacher's is 16; flow\.noiseScale is 1, the teacher's is 2\. Take/)
      const missing = yield* run("distill", yield* writeRunFile(folder, "missing.json", { ...shared, distillation: distillation("d", { teacher: "nobody" }) }))
      assert.strictEqual(missing.code, 1)
      assert.match(missing.stderr, /nobody/)
    })), 90_000)
})

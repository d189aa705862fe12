import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { elf } from "./process.ts"
import { tinyFolder, writeRunFile } from "./tinyRun.ts"

const run = (...arguments_: ReadonlyArray<string>) => Effect.promise(() => elf(arguments_))

const pairs = Array.from({ length: 8 }, (_, i) => ({ input: `Das ist der ${i}. Satz.`, output: `This is sentence ${i}.` }))

interface Answered {
  readonly answers: ReadonlyArray<{ readonly prompt: string; readonly answer: string }>
  readonly choice: { readonly steps: number; readonly guidanceScale: number }
}

describe("a run on pairs", () => {
  it.effect("trains, answers prompts on the command line, and knows the column of its conditions", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      yield* Stream.fromIterable(pairs).pipe(Parquet.write(join(folder, "pairs.parquet"), { schema: { input: "string", output: "string" }, rowGroupSize: 8 }), Stream.runDrain)
      const file = yield* writeRunFile(folder, "run.json", {
        data: { train: "pairs.parquet", heldOut: "pairs.parquet", conditionColumn: "input", column: "output", condition: { maximum: 8 }, padding: "eos", labelDropProbability: 0.2 },
        optimizer: { steps: 2 }
      })
      const trained = yield* run("train", file)
      assert.strictEqual(trained.code, 0, trained.stderr)
      const checkpoint = join(folder, "run")

      const ask = ["sample", "--checkpoint", checkpoint, "--prompt", "Guten Tag.", "--prompt", "Wie geht es?", "--count", "2", "--guidance", "2", "--json"]
      const asked = yield* run(...ask)
      assert.strictEqual(asked.code, 0, asked.stderr)
      const { answers, choice } = JSON.parse(asked.stdout) as Answered
      assert.deepStrictEqual(answers.map(({ prompt }) => prompt), ["Guten Tag.", "Guten Tag.", "Wie geht es?", "Wie geht es?"])
      assert.deepInclude(choice, { steps: 3, guidanceScale: 2 })
      assert.strictEqual((yield* run(...ask)).stdout, asked.stdout)

      const refused = yield* run("sample", "--checkpoint", checkpoint, "--prompt", "Guten Tag.", "--stream")
      assert.strictEqual(refused.code, 1)
      assert.include(refused.stderr, "--stream")

      const inferred = yield* run("infer", "--checkpoint", checkpoint, "--input", join(folder, "pairs.parquet"), "--output", join(folder, "answers"))
      assert.strictEqual(inferred.code, 0, inferred.stderr)
      const rows = yield* Parquet.read(join(folder, "answers", "*.parquet"), { column: "answer" }).pipe(Stream.runCollect)
      assert.strictEqual(rows.length, pairs.length)
    })), 120_000)
})

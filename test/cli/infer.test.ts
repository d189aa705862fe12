import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { elf } from "./process.ts"
import { tinyFolder, writeRunFile } from "./tinyRun.ts"

const run = (...arguments_: ReadonlyArray<string>) => Effect.promise(() => elf(arguments_))

const trained = Effect.gen(function*() {
  const folder = yield* tinyFolder
  const { code, stderr } = yield* run("train", yield* writeRunFile(folder, "run.json", { optimizer: { steps: 2 } }))
  assert.strictEqual(code, 0, stderr)
  return folder
})

describe("elf sample and elf infer", () => {
  it.effect("the same seed gives the same texts, another seed others", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* trained
      const sample = (seed: string) => Effect.map(run("sample", "--checkpoint", join(folder, "run"), "--count", "3", "--seed", seed, "--json"), ({ stdout }) =>
        (JSON.parse(stdout) as { texts: ReadonlyArray<string> }).texts)
      const texts = yield* sample("5")
      assert.strictEqual(texts.length, 3)
      assert.deepStrictEqual(yield* sample("5"), texts)
      assert.notDeepEqual(yield* sample("6"), texts)
    })), 90_000)

  it.effect("every prompt is answered, in order, the same whatever the batch size", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* trained
      const answers = (batchSize: string) =>
        Effect.gen(function*() {
          const output = join(folder, `answers-${batchSize}`)
          const { code, stderr } = yield* run("infer", "--checkpoint", join(folder, "run"), "--input", join(folder, "texts.parquet"), "--column", "text", "--output", output, "--batch-size", batchSize)
          assert.strictEqual(code, 0, stderr)
          return yield* Parquet.readRows(join(output, "texts.parquet")).pipe(Stream.map(({ values }) => values), Stream.runCollect)
        })
      const rows = yield* answers("5")
      assert.deepStrictEqual(rows.map(({ index }) => index), Array.from({ length: 16 }, (_, i) => i))
      const prompts = yield* Parquet.read(join(folder, "texts.parquet"), { column: "text" }).pipe(Stream.runCollect)
      assert.deepStrictEqual(rows.map(({ prompt }) => prompt), prompts)
      assert.deepStrictEqual(yield* answers("16"), rows)
    })), 90_000)
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { elf, type Finished } from "./process.ts"
import { runFile, tinyFolder, writeRunFile } from "./tinyRun.ts"

const run = (...arguments_: ReadonlyArray<string>) => Effect.promise(() => elf(arguments_))

/** One sentence that names what matters, exit code 1, no stack trace. */
const assertRefused = ({ code, stderr }: Finished, ...mentioned: ReadonlyArray<string>) => {
  assert.strictEqual(code, 1, stderr)
  for (const text of mentioned) assert.include(stderr, text)
  assert.notMatch(stderr, /\n\s+at |node:internal/)
}

/** Trains on `data` and expects a refusal. */
const refuses = (title: string, prepare: (folder: string) => Effect.Effect<Record<string, unknown>, unknown>, ...mentioned: ReadonlyArray<string>) =>
  it.effect(title, () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const file = yield* writeRunFile(folder, "run.json", { data: yield* prepare(folder) })
      assertRefused(yield* run("train", file), ...mentioned)
    })), 60_000)

const write = (path: string, bytes: Uint8Array) => Effect.promise(() => writeFile(path, bytes))

describe("bad input", () => {
  refuses("a missing column names the columns there are", () => Effect.succeed({ column: "texts" }), "texts.parquet", "texts", "text")
  refuses("a column of numbers", () => Effect.succeed({ column: "number" }), "texts.parquet", "number")
  refuses("a file of no bytes", (folder) => Effect.as(write(join(folder, "empty.parquet"), new Uint8Array()), { train: "empty.parquet" }), "empty.parquet")
  refuses("a truncated file", (folder) =>
    Effect.promise(() => readFile(join(folder, "texts.parquet"))).pipe(
      Effect.flatMap((bytes) => write(join(folder, "cut.parquet"), bytes.subarray(0, bytes.length / 2))),
      Effect.as({ train: "cut.parquet" })
    ), "cut.parquet")
  refuses("a null row", (folder) =>
    Stream.fromIterable([{ text: "one" }, { text: null }]).pipe(
      Parquet.write(join(folder, "nulls.parquet"), { schema: { text: "string?" } }),
      Stream.runDrain,
      Effect.as({ train: "nulls.parquet" })
    ), "nulls.parquet", "row 1")
  refuses("a file without rows", (folder) =>
    Stream.fromIterable<{ text: string }>([]).pipe(
      Parquet.write(join(folder, "none.parquet"), { schema: { text: "string?" } }),
      Stream.runDrain,
      Effect.as({ train: "none.parquet" })
    ), "none.parquet")
  refuses("no such file", () => Effect.succeed({ train: "nowhere/*.parquet" }), "nowhere")

  it.effect("a run file with a wrong type and a misspelt key", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const path = join(folder, "run.json")
      yield* Effect.promise(() => writeFile(path, JSON.stringify({ ...runFile({ optimizer: { learningrate: 1 }, data: { batchSize: "four" } }) })))
      assertRefused(yield* run("train", path), "run.json", "learningRate", "data.batchSize")
    })), 60_000)

  it.effect("a checkpoint of another shape lists what differs", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const first = yield* writeRunFile(folder, "run.json", { optimizer: { steps: 1, warmupSteps: 0 } })
      assert.strictEqual((yield* run("train", first)).code, 0)
      const wider = yield* writeRunFile(folder, "wider.json", { model: { hidden: 32 } })
      assertRefused(yield* run("train", wider, "--resume"), "model.hidden is 32, it was 16", "step-00000001")
      assertRefused(yield* run("train", wider, "--resume", "--accept-changes"), "proj_kernel", "step-00000001")
    })), 60_000)
})

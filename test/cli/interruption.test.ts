/** Ctrl-C and SIGTERM: exit code 130 within the step in hand, and no temporary file; real processes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { copyFileSync, existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { Checkpoint, Parquet, RunConfig } from "../../src/io/index.ts"
import { parameterShapes } from "../../src/model/ModelConfig.ts"
import { portable } from "../../src/run/weights.ts"
import { inFolder } from "../io/support.ts"
import { writePrompts, writeTinyCheckpoint } from "../support/tinyCheckpoint.ts"
import { elf, type RunOptions } from "./process.ts"

const run = (arguments_: ReadonlyArray<string>, options: RunOptions) => Effect.promise(() => elf(arguments_, options))

const leftovers = (folder: string): ReadonlyArray<string> => readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".partial"))

/** A checkpoint of some forty megabytes, so that writing it takes its time. */
const writeLargeCheckpoint = Effect.fnUntraced(function*(folder: string) {
  const directory = join(folder, "large")
  const decoded = yield* RunConfig.decode({
    seed: 1,
    model: { hidden: 128, depth: 1, heads: 2, textWidth: 64, bottleneck: 32, length: 16, vocabulary: 32_100 },
    encoder: { path: join(folder, "encoder") },
    data: { train: "none.parquet", condition: { maximum: 8 } },
    optimizer: { steps: 1, warmupSteps: 0 },
    checkpoint: { directory }
  })
  const tensors = Array.from(parameterShapes(decoded.model), ([name, shape]) => ({ name, shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5) }))
  yield* Checkpoint.write(directory, { step: 1, configuration: portable(decoded, `${directory}/step`), metadata: { updates: 1 }, sections: { model: tensors, ema: tensors } }, { keep: 1 })
  return directory
})

describe("an interruption", () => {
  it.effect("elf sample ends after the time step in hand", () =>
    inFolder((folder) => Effect.gen(function*() {
      const checkpoint = yield* writeTinyCheckpoint(folder)
      const ended = yield* run(["sample", "--checkpoint", checkpoint, "--steps", "3000", "--count", "2", "--stream"], { interruptAt: "\nt 0." })
      assert.deepStrictEqual([ended.code, ended.stdout], [130, ""], ended.stderr)
    })), 60_000)

  it.effect("elf infer leaves whole parts only", () =>
    inFolder((folder) => Effect.gen(function*() {
      const checkpoint = yield* writeTinyCheckpoint(folder)
      yield* writePrompts(join(folder, "prompts.parquet"), 20_000, 20)
      const output = join(folder, "out")
      const begun = () => existsSync(output) && readdirSync(output, { recursive: true, encoding: "utf8" }).some((name) => name.endsWith(".parquet"))
      const ended = yield* run(["infer", "--checkpoint", checkpoint, "--input", join(folder, "prompts.parquet"), "--column", "prompt", "--output", output], { signal: "SIGTERM", interruptWhen: begun })
      assert.strictEqual(ended.code, 130, ended.stderr)
      assert.deepStrictEqual(leftovers(output), [])
      const rows = yield* Stream.runCount(Parquet.readRows(output))
      assert.isTrue(rows > 0 && rows % 20 === 0 && rows < 20_000, `${rows} rows`)
    })), 60_000)

  it.effect("elf convert writes all of it or nothing", () =>
    inFolder((folder) => Effect.gen(function*() {
      const input = yield* writeLargeCheckpoint(folder)
      const output = join(folder, "converted")
      const begun = () => leftovers(folder).length > 0
      const ended = yield* run(["convert", input, output], { signal: "SIGTERM", interruptWhen: begun })
      assert.strictEqual(ended.code, 130, ended.stderr)
      assert.deepStrictEqual(leftovers(folder), [])
      assert.isFalse(existsSync(output))
    })), 60_000)

  it.effect("elf inspect stops between two pages", () =>
    inFolder((folder) => Effect.gen(function*() {
      yield* writePrompts(join(folder, "0.parquet"), 4_000, 500)
      for (let i = 1; i < 400; i++) copyFileSync(join(folder, "0.parquet"), join(folder, `${i}.parquet`))
      const ended = yield* run(["inspect", join(folder, "*.parquet"), "--column", "prompt", "--json"], { interruptAt: "sha256" })
      assert.strictEqual(ended.code, 130, ended.stderr)
      assert.isBelow(ended.stdout.split("\n").length, 400)
    })), 60_000)
})

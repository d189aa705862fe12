/** A run so small that it trains in a second: random encoder, sixteen texts, a network of a few thousand weights. */
import { Effect, Stream } from "effect"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { writeTinyEncoder } from "../support/tinyEncoder.ts"

const texts = Array.from({ length: 16 }, (_, i) => `Fellow citizens, this is message number ${i} on the state of the Union and of its ${i * 7} roads and harbours.`)

/** Fresh folder with an encoder and texts; removed with the scope. */
export const tinyFolder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "elf-tiny-"))),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
).pipe(Effect.tap((folder) =>
  Effect.gen(function*() {
    yield* writeTinyEncoder(join(folder, "encoder"))
    yield* Stream.fromIterable(texts.map((text, i) => ({ text, number: i }))).pipe(
      Parquet.write(join(folder, "texts.parquet"), { schema: { text: "string", number: "int32" }, rowGroupSize: 4 }),
      Stream.runDrain
    )
  })
))

export const runFile = (changes: Record<string, Record<string, unknown>> = {}): Record<string, unknown> => {
  const base: Record<string, Record<string, unknown>> = {
    model: { hidden: 16, depth: 1, heads: 2, textWidth: 8, bottleneck: 4, length: 16 },
    encoder: { path: "encoder", latentStandardDeviation: 1 },
    data: { train: "texts.parquet", condition: { probability: 0.5, minimum: 2, maximum: 8 }, batchSize: 4, shuffleWindow: 8 },
    optimizer: { steps: 6, learningRate: 0.01, warmupSteps: 1, emaDecay: 0.9 },
    checkpoint: { directory: "run", every: 3, keep: 5 },
    log: { every: 1, file: "run/metrics.jsonl" },
    sample: { count: 2, steps: 3 }
  }
  for (const [section, keys] of Object.entries(changes)) base[section] = { ...base[section], ...keys }
  return { seed: 1, ...base }
}

/** Writes a run file into `folder`; returns its path. */
export const writeRunFile = (folder: string, name: string, changes: Record<string, Record<string, unknown>> = {}) =>
  Effect.promise(async () => {
    const path = join(folder, name)
    await writeFile(path, JSON.stringify(runFile(changes)))
    return path
  })

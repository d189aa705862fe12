/** A run of a few seconds that uses everything that has to survive a kill: several files, accumulation, held-out losses. */
import { Effect, Stream } from "effect"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { writeTinyEncoder } from "../../test/support/tinyEncoder.ts"

const text = (i: number): string => `Fellow citizens, this is message ${i} on the state of the Union${", its roads".repeat(i % 4)} and its ${i * 7} harbours.`

const writeTexts = (path: string, first: number, count: number, rowGroupSize: number) =>
  Stream.range(first, first + count - 1).pipe(
    Stream.map((i) => ({ text: text(i) })),
    Parquet.write(path, { schema: { text: "string" }, rowGroupSize }),
    Stream.runDrain
  )

/** Writes an encoder, three files to train on with row groups of other sizes, and one that is held out. */
export const writeTinyData = Effect.fnUntraced(function*(folder: string) {
  yield* writeTinyEncoder(join(folder, "encoder"))
  for (const [i, [count, group]] of [[7, 3], [10, 4], [4, 10]].entries()) yield* writeTexts(join(folder, "texts", `${i}.parquet`), i * 10, count!, group!)
  yield* writeTexts(join(folder, "heldOut.parquet"), 100, 6, 6)
})

/** The run file of a run into `directory`. */
export const tinyTraining = (directory: string, steps: number) => ({
  seed: 3,
  model: { hidden: 16, depth: 1, heads: 2, textWidth: 8, bottleneck: 4, length: 16 },
  encoder: { path: "encoder", latentStandardDeviation: 1 },
  data: { train: "texts", heldOut: "heldOut.parquet", condition: { probability: 0.5, minimum: 2, maximum: 8 }, labelDropProbability: 0.2, batchSize: 2, shuffleWindow: 5 },
  optimizer: { kind: "muon", steps, learningRate: 0.01, schedule: "cosine", warmupSteps: 2, emaDecay: 0.9, gradientAccumulation: 2 },
  checkpoint: { directory, every: 1, keep: 2, keepEvery: 8, keepBest: 1 },
  log: { every: 1, heldOutEvery: 4, file: `${directory}/metrics.jsonl` }
})

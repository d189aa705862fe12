/**
 * The held-out loss: always the same rows with the same noise, so that two values compare.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { keyed } from "../flow/Random.ts"
import type { RunConfig } from "../io/index.ts"
import type { Losses } from "../model/Loss.ts"
import { corrupt, type CorruptedBatch, type CorruptionOptions } from "../streams/corrupt.ts"
import { evaluate } from "../streams/evaluate.ts"
import { selfCondition } from "../streams/selfCondition.ts"
import type { TaughtBatch } from "../streams/teach.ts"
import { corruptionOptions } from "./corruption.ts"
import { trainingBatches } from "./trainingData.ts"

/** Rows that are enough for a loss with a standard error of about one percent. */
const heldOutRows = 256

/** The held-out rows, embedded and corrupted once; empty where the run names no held-out files. */
export const heldOutBatches = (run: RunConfig.RunConfig, corruption: CorruptionOptions = corruptionOptions(run)) => {
  const { heldOut } = run.data
  if (heldOut === undefined) return Effect.succeed<ReadonlyArray<CorruptedBatch>>([])
  const once = { ...run, data: { ...run.data, train: heldOut, epochs: 1, shuffleWindow: 1 } }
  return trainingBatches(once).pipe(
    Stream.take(Math.ceil(heldOutRows / run.data.batchSize)),
    corrupt({ ...corruption, source: keyed(run.seed) }),
    Stream.runCollect
  )
}

const mean = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0) / values.length

/** The mean of several batches' losses. */
const meanLosses = (losses: ReadonlyArray<Losses>): Losses => ({
  loss: mean(losses.map(({ loss }) => loss)),
  denoiserLoss: mean(losses.map(({ denoiserLoss }) => denoiserLoss)),
  decoderLoss: mean(losses.map(({ decoderLoss }) => decoderLoss))
})

/** Mean losses of the network over `batches`, of which there is at least one. */
export const heldOutLosses = (batches: ReadonlyArray<CorruptedBatch>) =>
  Effect.map(Stream.fromIterable(batches).pipe(selfCondition, evaluate, Stream.runCollect), meanLosses)

/** Mean losses of a student over batches that its teacher went through, of which there is at least one. */
export const distillationLosses = (batches: ReadonlyArray<TaughtBatch>) =>
  Effect.map(Stream.fromIterable(batches).pipe(evaluate, Stream.runCollect), meanLosses)

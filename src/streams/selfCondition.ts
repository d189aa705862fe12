/**
 * Noisy latents → noisy latents with a first prediction beside them, made by the network as it stands.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Stream } from "effect"
import { Backend, type BackendError } from "../model/Backend.ts"
import type { Elf } from "../model/Elf.ts"
import { trainingBatch } from "../model/KernelBatch.ts"
import { Network } from "../model/Network.ts"
import { selfConditioning } from "../model/SelfConditioning.ts"
import type { CorruptedBatch } from "./corrupt.ts"
import { conditionOnly, flagged, rowsOf } from "./rows.ts"
import type { Stage } from "./Stage.ts"

/** A batch ready for its training step. The velocity target includes guidance. */
export interface SelfConditionedBatch extends CorruptedBatch {
  /** `[B, S, D]`; absent where the run trains without self-conditioning. */
  readonly selfCondition?: Float32Array
  /** `Network.updates` at the time of the prediction: the step refuses a batch that other weights predicted. */
  readonly updates: number
}

/** Denoiser rows start from the clean condition and zeros; decoder rows from zeros everywhere. */
const withoutPrediction = (batch: CorruptedBatch): Float32Array => conditionOnly(batch, (row) => batch.decoderActive[row] === 0)

/** Runs the passes on the rows that use them; returns x̂ and guidance of those rows, on the host. */
const runPasses = (elf: Elf, batch: CorruptedBatch, rows: ReadonlyArray<number>) => {
  const { length, width } = batch
  const latents = (data: Float32Array) => tf.tensor3d(rowsOf(data, rows, length * width), [rows.length, length, width])
  const { guidance, prediction } = selfConditioning(elf, {
    z: latents(batch.z),
    clean: latents(batch.clean),
    t: tf.tensor1d(rowsOf(batch.t, rows, 1)),
    conditionMask: tf.tensor2d(rowsOf(batch.conditionMask, rows, length), [rows.length, length]),
    ...(batch.selfConditionScale === undefined ? {} : { selfConditionScale: tf.tensor1d(rowsOf(batch.selfConditionScale, rows, 1)) })
  }, batch.timeEpsilon)
  return { guidance: guidance.dataSync() as Float32Array, prediction: prediction.dataSync() as Float32Array }
}

const addRows = (target: Float32Array, rows: ReadonlyArray<number>, added: Float32Array): Float32Array => {
  const size = added.length / rows.length
  const out = target.slice()
  rows.forEach((row, i) => {
    for (let j = 0; j < size; j++) out[row * size + j] = out[row * size + j]! + added[i * size + j]!
  })
  return out
}

const conditionBatch = Effect.fnUntraced(function*(batch: CorruptedBatch) {
  yield* Effect.yieldNow
  const backend = yield* Backend
  const { elf, updates } = yield* Network
  if (!batch.selfConditioning) return { ...batch, updates: updates() } as SelfConditionedBatch
  const selfCondition = withoutPrediction(batch)
  const rows = flagged(batch.usesSelfCondition, 1)
  if (rows.length === 0) return { ...batch, selfCondition, updates: updates() } as SelfConditionedBatch
  const { guidance, prediction } = yield* backend.kernel("selfCondition", () => runPasses(elf, batch, rows), trainingBatch(batch))
  const size = batch.length * batch.width
  rows.forEach((row, i) => selfCondition.set(prediction.subarray(i * size, (i + 1) * size), row * size))
  const velocityTarget = addRows(batch.velocityTarget, rows, guidance)
  return { ...batch, selfCondition, velocityTarget, updates: updates() } as SelfConditionedBatch
})

/**
 * Adds the self-conditioning half `[B, S, D]` and, where the network reads a scale, its guidance to the velocity target.
 *
 * **Gotchas** It predicts with the current weights, so nothing may buffer between it and `train`; `train` checks that.
 * @source `train_step.py`, `compute_shared_uncond`, `get_sc_guided_v`, `sc_half`
 */
export const selfCondition: Stage<CorruptedBatch, SelfConditionedBatch, BackendError, Backend | Network> =
  Stream.mapEffect(conditionBatch)

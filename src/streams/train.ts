/**
 * Batches → training metrics: one pass forwards and backwards each, and an optimiser step.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Schema, Stream } from "effect"
import { Backend, type BackendError } from "../model/Backend.ts"
import { updateAverage } from "../model/Ema.ts"
import { learningRate, type LearningRateOptions } from "../model/LearningRate.ts"
import { lossAndGradients, type LossAndGradients } from "../model/Loss.ts"
import { clipScale, globalNorm, type OptimizerOptions, step as optimizerStep } from "../model/Optimizer.ts"
import { dispose, parameter, type Parameters, replace } from "../model/Parameters.ts"
import { TrainState, type TrainStateFields } from "../model/TrainState.ts"
import type { SelfConditionedBatch } from "./selfCondition.ts"
import type { PackPosition } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"
import type { TaughtBatch } from "./teach.ts"

/** How a batch becomes an update. */
export interface TrainOptions extends LearningRateOptions {
  readonly optimizer: OptimizerOptions
  /** Gradients are scaled down to this global norm. */
  readonly clipNorm: number
  /** Batches whose gradients are averaged into one update. */
  readonly gradientAccumulation: number
  /** Decay of the weights' moving average, once an update. */
  readonly emaDecay: number
}

/** What `train` takes: targets of the flow itself, or of a teacher. */
export type TrainableBatch = SelfConditionedBatch | TaughtBatch

/** What one batch did. */
export interface StepMetrics {
  /** Batches seen, this one included. */
  readonly step: number
  /** Updates made. */
  readonly updates: number
  readonly loss: number
  /** 0 in a batch without denoiser rows. */
  readonly denoiserLoss: number
  /** 0 in a batch without decoder rows. */
  readonly decoderLoss: number
  /** Before clipping; absent on a batch that only accumulates. */
  readonly gradientNorm?: number
  readonly learningRate: number
  /** Tokens in the batch. */
  readonly tokens: number
  /** Where packing goes on after this batch. */
  readonly resume?: PackPosition | undefined
}

/** The loss or the gradient stopped being finite. The step was not applied: weights and moments are the previous ones. */
export class DivergedError extends Schema.TaggedError<DivergedError>()("DivergedError", {
  step: Schema.Number,
  loss: Schema.Number,
  denoiserLoss: Schema.Number,
  decoderLoss: Schema.Number,
  gradientNorm: Schema.Number
}) {
  override get message(): string {
    const branch = Number.isFinite(this.denoiserLoss) ? (Number.isFinite(this.decoderLoss) ? "gradient" : "decoder") : "denoiser"
    return `Training diverged at step ${this.step} in the ${branch} branch: loss ${this.loss}, gradient norm ${this.gradientNorm}. ` +
      "The step was not applied; lower the learning rate or resume from the last checkpoint."
  }
}

/** A batch was self-conditioned by other weights than those it is to train. */
export class StaleBatchError extends Schema.TaggedError<StaleBatchError>()("StaleBatchError", {
  step: Schema.Number,
  predictedAt: Schema.Number,
  updates: Schema.Number
}) {
  override get message(): string {
    return `The batch of step ${this.step} was self-conditioned after ${this.predictedAt} updates, but there have been ${this.updates}. ` +
      "Put prefetch or buffer before selfCondition, not between it and train."
  }
}

/** Adds gradients/share to the sums that wait for their update. */
const accumulate = (state: TrainStateFields, gradients: Parameters, share: number): void => {
  for (const name of Object.keys(gradients)) {
    tf.tidy(() => {
      const added = tf.mul(parameter(gradients, name), share)
      const sum = state.accumulated[name]
      replace(state.accumulated, name, sum === undefined ? added : tf.add(sum, added))
    })
  }
}

const clearAccumulated = (state: TrainStateFields): void => {
  dispose(state.accumulated)
  for (const name of Object.keys(state.accumulated)) delete state.accumulated[name]
}

type Applied = { readonly norm: number } | "accumulating" | "diverged"

/** Clips, updates and averages; refuses gradients that are not finite before it changes anything. */
const applyGradients = (state: TrainStateFields, gradients: Parameters, options: TrainOptions): { readonly norm: number } => {
  const norm = globalNorm(gradients)
  if (!Number.isFinite(norm)) return { norm }
  const rate = learningRate(options, state.optimizer.updates)
  optimizerStep(options.optimizer, state.elf.parameters, state.optimizer, gradients, {
    learningRate: rate,
    gradientScale: clipScale(norm, options.clipNorm)
  })
  updateAverage(state.average, state.elf.parameters, options.emaDecay)
  return { norm }
}

const update = (state: TrainStateFields, { gradients, loss }: LossAndGradients, options: TrainOptions): Applied => {
  if (!Number.isFinite(loss)) return "diverged"
  if (options.gradientAccumulation === 1) return applyGradients(state, gradients, options)
  const norm = globalNorm(gradients)
  if (!Number.isFinite(norm)) return { norm }
  accumulate(state, gradients, 1 / options.gradientAccumulation)
  if ((state.step + 1) % options.gradientAccumulation !== 0) return "accumulating"
  const applied = applyGradients(state, state.accumulated, options)
  clearAccumulated(state)
  return applied
}

const trainOn = (state: TrainStateFields, batch: TrainableBatch, options: TrainOptions) => {
  const result = lossAndGradients(state.elf, batch, batch.timeEpsilon)
  const { decoderLoss, denoiserLoss, loss } = result
  return { losses: { decoderLoss, denoiserLoss, loss }, applied: update(state, result, options) }
}

const step = (options: TrainOptions) =>
  Effect.fnUntraced(function*(batch: TrainableBatch) {
    yield* Effect.yieldNow
    const backend = yield* Backend
    const state = yield* TrainState
    const { updates } = state.optimizer
    if ("updates" in batch && batch.updates !== updates) return yield* new StaleBatchError({ step: state.step + 1, predictedAt: batch.updates, updates })
    const rate = learningRate(options, updates)
    const { applied, losses } = yield* backend.kernel("train", () => trainOn(state, batch, options))
    const gradientNorm = applied === "diverged" || applied === "accumulating" ? NaN : applied.norm
    if (applied !== "accumulating" && !Number.isFinite(gradientNorm)) {
      return yield* new DivergedError({ step: state.step + 1, gradientNorm, ...losses })
    }
    state.step++
    return {
      ...losses,
      ...(applied === "accumulating" ? {} : { gradientNorm }),
      step: state.step,
      updates: state.optimizer.updates,
      learningRate: rate,
      tokens: batch.size * batch.length,
      resume: batch.resume
    } as StepMetrics
  })

/**
 * Trains on each batch in order and says what it did. Tensors live for one step only, and a step that diverges
 * leaves the state as it was.
 * @source `train_step.py`, `train_step`; `distill_train_step.py`, `distill_train_step`
 */
export const train = (options: TrainOptions): Stage<TrainableBatch, StepMetrics, DivergedError | StaleBatchError | BackendError, Backend | TrainState> =>
  Stream.mapEffect(step(options))

/**
 * Batches → training metrics: one pass forwards and backwards each, and an optimiser step.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Schema, Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { Backend, type BackendError } from "../model/Backend.ts"
import type { PeerLostError } from "../model/Collective.ts"
import { updateAverage } from "../model/Ema.ts"
import { giveBackFreedMemory } from "../model/FreedMemory.ts"
import { trainingBatch } from "../model/KernelBatch.ts"
import { learningRate, type LearningRateOptions } from "../model/LearningRate.ts"
import type { LossAndGradients, Losses } from "../model/Loss.ts"
import { clipScale, globalNorm, type OptimizerOptions, step as optimizerStep } from "../model/Optimizer.ts"
import { dispose, parameter, type Parameters, replace } from "../model/Parameters.ts"
import { changing, requireWhole, type SpoiledStateError, TrainState, type TrainStateFields } from "../model/TrainState.ts"
import { divergedBranch } from "./divergedBranch.ts"
import { type DivergedBranch, DivergedError } from "./DivergedError.ts"
import type { SelfConditionedBatch } from "./selfCondition.ts"
import type { PackPosition } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"
import type { TaughtBatch } from "./teach.ts"
import { wholeBatch } from "./wholeBatch.ts"

/** How a batch becomes an update. */
export interface TrainOptions extends LearningRateOptions {
  readonly optimizer: OptimizerOptions
  /** Gradients are scaled down to this global norm. */
  readonly clipNorm: number
  /** Batches whose gradients are averaged into one update. */
  readonly gradientAccumulation: number
  /** Decay of the weights' moving average, once an update. */
  readonly emaDecay: number
  /**
   * What becomes of a batch whose loss or gradient is not finite: the run ends with {@link DivergedError} (the default),
   * or the batch is passed over and adds nothing to its update.
   */
  readonly onDivergence?: "stop" | "skip"
}

/** Batches in a row that may be passed over: when all diverge it is the weights, not the data. */
const longestSkip = 10

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
  /** The batch diverged and was passed over; its losses are as they came out. */
  readonly skipped?: true
  /** Where packing goes on after this batch. */
  readonly resume?: PackPosition | undefined
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
const accumulate = (state: TrainStateFields, gradients: Parameters, share: number): void => changing(state, () => {
  for (const name of Object.keys(gradients)) {
    tf.tidy(() => {
      const added = tf.mul(parameter(gradients, name), share)
      const sum = state.accumulated[name]
      replace(state.accumulated, name, sum === undefined ? added : tf.add(sum, added))
    })
  }
})

const clearAccumulated = (state: TrainStateFields): void => {
  dispose(state.accumulated)
  for (const name of Object.keys(state.accumulated)) delete state.accumulated[name]
}

/** What became of a batch: its norm before clipping, unless it waits for others or was passed over. */
type Applied =
  | { readonly kind: "applied" | "accumulated"; readonly norm: number }
  | { readonly kind: "diverged"; readonly norm: number; readonly branch: DivergedBranch }

/** Clips, updates and averages; refuses gradients that are not finite before it changes anything. */
const applyGradients = (state: TrainStateFields, gradients: Parameters, norm: number, options: TrainOptions): boolean => {
  if (!Number.isFinite(norm)) return false
  changing(state, () => {
    optimizerStep(options.optimizer, state.elf.parameters, state.optimizer, gradients, {
      learningRate: learningRate(options, state.optimizer.updates),
      gradientScale: clipScale(norm, options.clipNorm)
    })
    updateAverage(state.average, state.elf.parameters, options.emaDecay)
  })
  return true
}

const endsUpdate = (state: TrainStateFields, { gradientAccumulation }: TrainOptions): boolean => (state.step + 1) % gradientAccumulation === 0

/** Makes the update of all batches that have added to it; none where all of them were passed over. */
const applyAccumulated = (state: TrainStateFields, options: TrainOptions): { readonly applied: boolean; readonly norm: number } => {
  if (Object.keys(state.accumulated).length === 0) return { applied: true, norm: 0 }
  const norm = globalNorm(state.accumulated)
  const applied = applyGradients(state, state.accumulated, norm, options)
  if (applied) clearAccumulated(state)
  return { applied, norm }
}

/** Whether the gradients are taken up into the state, and their norm; where not, the state is as it was. */
const update = (state: TrainStateFields, { gradients, loss }: LossAndGradients, options: TrainOptions): Omit<Applied, "branch"> => {
  const norm = globalNorm(gradients)
  const kept = (applied: boolean, of: number) => ({ kind: applied ? "applied" as const : "diverged" as const, norm: of })
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) return { kind: "diverged", norm }
  if (options.gradientAccumulation === 1) return kept(applyGradients(state, gradients, norm, options), norm)
  accumulate(state, gradients, 1 / options.gradientAccumulation)
  if (!endsUpdate(state, options)) return { kind: "accumulated", norm }
  const sum = applyAccumulated(state, options)
  return kept(sum.applied, sum.norm)
}

/** Passes a batch over: the update that it would have ended is made of the others. */
const passOver = (state: TrainStateFields, options: TrainOptions): void => {
  if (endsUpdate(state, options) && !applyAccumulated(state, options).applied) clearAccumulated(state)
  state.step++
}

const trainOn = (state: TrainStateFields, batch: TrainableBatch, result: LossAndGradients, options: TrainOptions) => {
  const { decoderLoss, denoiserLoss, loss } = result
  const losses = { decoderLoss, denoiserLoss, loss }
  const done = update(state, result, options)
  if (done.kind !== "diverged") state.step++
  const applied = done.kind === "diverged" ? { ...done, branch: divergedBranch(state.elf, batch, batch.timeEpsilon, losses) } : done
  return { losses, applied: applied as Applied }
}

const metricsOf = (state: TrainStateFields, { resume, tokens }: Pick<StepMetrics, "resume" | "tokens">, rate: number, losses: Losses, applied: Applied): StepMetrics => ({
  ...losses,
  ...(applied.kind === "accumulated" ? {} : { gradientNorm: applied.norm }),
  step: state.step,
  updates: state.optimizer.updates,
  learningRate: rate,
  tokens,
  ...(applied.kind === "diverged" ? { skipped: true } : {}),
  resume
})

const step = (options: TrainOptions) => {
  let skippedInRow = 0
  let begun = false
  return Effect.fnUntraced(function*(batch: TrainableBatch) {
    yield* Effect.yieldNow
    const backend = yield* Backend
    const state = yield* TrainState
    yield* requireWhole(state)
    const { updates } = state.optimizer
    if ("updates" in batch && batch.updates !== updates) return yield* new StaleBatchError({ step: state.step + 1, predictedAt: batch.updates, updates })
    const rate = learningRate(options, updates)
    const whole = yield* wholeBatch(state, batch)
    const { applied, losses } = yield* backend.kernel("train", () => {
      // By now the host's copies of the initial weights are collected.
      if (!begun) giveBackFreedMemory()
      begun = true
      return trainOn(state, batch, whole.read(), options)
    }, trainingBatch(batch))
    skippedInRow = applied.kind === "diverged" ? skippedInRow + 1 : 0
    if (applied.kind === "diverged") {
      if (options.onDivergence !== "skip" || skippedInRow > longestSkip) {
        const { branch, norm: gradientNorm } = applied
        return yield* new DivergedError({ step: state.step + 1, branch, gradientNorm, ...losses, ...(batch.resume === undefined ? {} : { resume: batch.resume }) })
      }
      yield* backend.kernel("passOver", () => passOver(state, options))
    }
    return metricsOf(state, { tokens: whole.tokens, resume: batch.resume }, rate, losses, applied)
  })
}

/**
 * Trains on each batch in order and says what it did. Tensors live for one step only, and a step that diverges
 * leaves the state as it was.
 *
 * **Details** In a group of processes (`Collective`) each has its rows of a batch, and all make the same update, that of
 * the whole batch.
 * @source `train_step.py`, `train_step`; `distill_train_step.py`, `distill_train_step`
 */
export const train = (options: TrainOptions): Stage<TrainableBatch, StepMetrics, DivergedError | SpoiledStateError | StaleBatchError | PeerLostError | BackendError, Backend | TrainState> => {
  const { onDivergence = "stop" } = options
  requireArgument(["stop", "skip"].includes(onDivergence), "train.onDivergence", "stop or skip", onDivergence)
  return (upstream) => Stream.suspend(() => Stream.mapEffect(upstream, step(options)))
}

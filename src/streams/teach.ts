/**
 * Noisy latents → noisy latents with what a teacher makes of them: what a training step of progressive distillation reads.
 */
import { Effect, Stream } from "effect"
import { drawnTimes, equalTimes, spanFrom } from "../flow/Distillation.ts"
import { requireArgument } from "../flow/errors.ts"
import { type RandomSource, type Seeded, sourceOf } from "../flow/Random.ts"
import { sample, type TimeDistribution } from "../flow/TimeDistribution.ts"
import type { Backend, BackendError } from "../model/Backend.ts"
import { Teacher } from "../model/Teacher.ts"
import type { CorruptedBatch, NoisyBatch } from "./corrupt.ts"
import type { Stage } from "./Stage.ts"
import { predictionTarget, selfConditionHalf } from "./teacherTarget.ts"

/** What one step of the student stands for. */
export interface TeachOptions {
  /** Length in t of a step of the student: 1 / its number of steps. In (0, 1]. */
  readonly stepSize: number
  /** Steps that the teacher takes meanwhile, ≥ 1. */
  readonly teacherSteps: number
  /** Where those lie within the student's step: drawn for each row and sorted, or of one length. */
  readonly teacherTimes: TimeDistribution | "equal"
}

/** A batch ready for the student's training step; host arrays. The flow's own target does not go on. */
export interface TaughtBatch extends NoisyBatch {
  /** `[B, S, D]`; absent for the variant that reads no such half. */
  readonly selfCondition?: Float32Array
  /** The teacher's times in each row, start and end of the student's step included; 1 on decoder rows. `[B, teacherSteps + 1]` */
  readonly teacherTimes: Float32Array
  /** What the student is to predict on denoiser rows; 0 on the others. `[B, S, D]` */
  readonly predictionTarget: Float32Array
}

/** The teacher's times in a row whose step begins at `start`. */
const rowTimes = (start: number, index: number, source: RandomSource, options: TeachOptions): Float32Array => {
  const { stepSize, teacherSteps, teacherTimes: law } = options
  const span = spanFrom(start, stepSize)
  if (law === "equal") return equalTimes(span, teacherSteps)
  const draws = teacherSteps === 1 ? new Float32Array(0) : sample(law, source, { purpose: "teacherTimes", index }, teacherSteps - 1)
  return drawnTimes(span, draws)
}

const batchTimes = (batch: NoisyBatch, source: RandomSource, options: TeachOptions): Float32Array => {
  const stride = options.teacherSteps + 1
  const times = new Float32Array(batch.size * stride).fill(1)
  batch.indices.forEach((index, row) => {
    if (batch.decoderActive[row] === 0) times.set(rowTimes(batch.t[row]!, index, source, options), row * stride)
  })
  return times
}

const teachBatch = (options: TeachOptions, source: RandomSource) =>
  Effect.fnUntraced(function*({ velocityTarget: _, ...batch }: CorruptedBatch) {
    yield* Effect.yieldNow
    const { config } = (yield* Teacher).elf
    const teacherTimes = batchTimes(batch, source, options)
    // Networks that read a scale are sampled with this half even where they were trained without self-conditioning.
    const readsHalf = batch.selfConditioning || config.selfConditionScaleTokens > 0
    const half = readsHalf ? { selfCondition: yield* selfConditionHalf(batch) } : {}
    const target = yield* predictionTarget(batch, half.selfCondition, teacherTimes)
    return { ...batch, ...half, teacherTimes, predictionTarget: target } as TaughtBatch
  })

/**
 * Adds the self-conditioning half and the target `[B, S, D]`: the prediction whose one step from t to t + `stepSize` ends
 * where the teacher's `teacherSteps` end. Corrupt with `Distillation.spanStart` as the law of t, so that no step ends
 * behind t = 1.
 *
 * **Details** Draws are keyed by the row's index (purpose `teacherTimes`). The teacher does not change, so a buffer may
 * stand between this stage and `train`.
 * @source `distill_train_step.py`, `distill_train_step`
 */
export const teach = (options: TeachOptions & Seeded): Stage<CorruptedBatch, TaughtBatch, BackendError, Backend | Teacher> => {
  const { stepSize, teacherSteps } = options
  requireArgument(stepSize > 0 && stepSize <= 1, "teach.stepSize", "in (0, 1]", stepSize)
  requireArgument(Number.isSafeInteger(teacherSteps) && teacherSteps >= 1, "teach.teacherSteps", "an integer ≥ 1", teacherSteps)
  return Stream.mapEffect(teachBatch(options, sourceOf(options)))
}

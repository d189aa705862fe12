/**
 * The network that a student learns from, as a service beside the student's.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Context, Effect, Layer } from "effect"
import { extrapolation, isDegenerate, type Span } from "../flow/Distillation.ts"
import type { Backend, BackendError } from "./Backend.ts"
import { type Elf, predict } from "./Elf.ts"
import { type ElfWeights, makeElf } from "./Network.ts"
import { restoreCondition } from "./SelfConditioning.ts"
import { velocityTowards } from "./Velocity.ts"

export class Teacher extends Context.Service<Teacher, { readonly elf: Elf }>()("elf-streams/model/Teacher") {
  /** A teacher, frozen; its weights are on the device as long as the layer lives. */
  static readonly layer = (weights: ElfWeights): Layer.Layer<Teacher, BackendError, Backend> =>
    Layer.effect(Teacher, Effect.map(makeElf(weights), (elf) => Teacher.of({ elf })))
}

/** What stays while the teacher steps. A type, not an interface: tf.dispose takes objects with an index signature only. */
export type TeacherRows = {
  /** Noisy latents where the student's step begins `[R, S, D]` */
  readonly z: tf.Tensor3D
  /** Clean latents `[R, S, D]`; read at condition positions. */
  readonly clean: tf.Tensor3D
  /** 1 = condition `[R, S]` */
  readonly conditionMask: tf.Tensor2D
  /** w `[R]`; absent for the variant without its tokens. */
  readonly selfConditionScale?: tf.Tensor1D
}

/** Where the teacher stands. */
export type TeacherState = {
  /** `[R, S, D]` */
  readonly z: tf.Tensor3D
  /** What it reads as its previous prediction `[R, S, D]`; absent: no such half is read. */
  readonly selfCondition?: tf.Tensor3D
  /** Its last prediction, as the network gave it `[R, S, D]`; absent before the first step. */
  readonly prediction?: tf.Tensor3D
}

/** A time a row. */
type RowTimes = ArrayLike<number>

const column = (values: RowTimes): tf.Tensor3D => tf.tensor3d(Float32Array.from(values), [values.length, 1, 1])

/**
 * One Euler step of each row from `t` to `tNext`, the condition held in place; its prediction is the next step's
 * self-condition. Synchronous; call it inside a kernel.
 * @source `distill_utils.py`, `teacher_pd_target`
 */
export const teacherStep = (elf: Elf, rows: TeacherRows, state: TeacherState, t: RowTimes, tNext: RowTimes, timeEpsilon: number): TeacherState =>
  tf.tidy(() => {
    const { clean, conditionMask, selfConditionScale } = rows
    const times = tf.tensor1d(Float32Array.from(t))
    const { selfCondition, z } = state
    const prediction = predict(elf, {
      z,
      t: times,
      ...(selfCondition === undefined ? {} : { selfCondition }),
      ...(selfConditionScale === undefined ? {} : { selfConditionScale })
    })
    const velocity = velocityTowards(prediction, z, times, timeEpsilon)
    const moved = tf.add(z, tf.mul(velocity, tf.sub(column(tNext), column(t)))) as tf.Tensor3D
    return {
      z: restoreCondition(moved, clean, conditionMask),
      prediction,
      ...(selfCondition === undefined ? {} : { selfCondition: restoreCondition(prediction, clean, conditionMask) })
    }
  })

/**
 * What the student is to predict at the start of `spans`, one a row, once the teacher has stepped through them.
 * `[R, S, D]`. Synchronous; call it inside a kernel.
 * @source `distill_utils.py`, `teacher_pd_target`
 */
export const impliedPrediction = ({ z }: TeacherRows, { prediction = z, z: end }: TeacherState, spans: ReadonlyArray<Span>): tf.Tensor3D =>
  tf.tidy(() => {
    const extrapolated = tf.add(z, tf.mul(column(spans.map(extrapolation)), tf.sub(end, z)))
    const degenerate = tf.cast(column(spans.map((span) => Number(isDegenerate(span)))), "bool")
    return tf.where(degenerate, prediction, extrapolated) as tf.Tensor3D
  })

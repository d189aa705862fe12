/**
 * The teacher's work on one batch: first predictions, and several Euler steps of each denoiser row.
 *
 * Notable: a kernel a step, so that an interruption waits for one pass of the network at most. The tensors between two
 * steps belong to this batch and are released with it, whatever happens.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { Backend } from "../model/Backend.ts"
import { type Elf, predict } from "../model/Elf.ts"
import { trainingBatch } from "../model/KernelBatch.ts"
import { impliedPrediction, Teacher, type TeacherRows, type TeacherState, teacherStep } from "../model/Teacher.ts"
import type { NoisyBatch } from "./corrupt.ts"
import { conditionOnly, flagged, rowsOf } from "./rows.ts"

const uploadLatents = ({ length, width }: NoisyBatch, data: Float32Array, rows: ReadonlyArray<number>): tf.Tensor3D =>
  tf.tensor3d(rowsOf(data, rows, length * width), [rows.length, length, width])

const uploadScale = ({ selfConditionScale }: NoisyBatch, rows: ReadonlyArray<number>): { readonly selfConditionScale?: tf.Tensor1D } =>
  selfConditionScale === undefined ? {} : { selfConditionScale: tf.tensor1d(rowsOf(selfConditionScale, rows, 1)) }

/** @source `distill_utils.py`, `teacher_uncond_x_pred_init` */
const firstPredictions = (elf: Elf, batch: NoisyBatch, half: Float32Array, rows: ReadonlyArray<number>): Float32Array =>
  predict(elf, {
    z: uploadLatents(batch, batch.z, rows),
    t: tf.tensor1d(rowsOf(batch.t, rows, 1)),
    selfCondition: uploadLatents(batch, half, rows),
    ...uploadScale(batch, rows)
  }).dataSync() as Float32Array

/** Puts predictions of the given rows into `half`, except at condition positions. */
const insert = (half: Float32Array, { conditionMask, length, width }: NoisyBatch, rows: ReadonlyArray<number>, predicted: Float32Array): void => {
  rows.forEach((row, i) => {
    for (let position = 0; position < length; position++) {
      if (conditionMask[row * length + position]! > 0) continue
      const from = (i * length + position) * width
      half.set(predicted.subarray(from, from + width), (row * length + position) * width)
    }
  })
}

/**
 * The self-conditioning half of all rows `[B, S, D]`: the teacher's first prediction on rows that use one, zeros on the
 * others, the clean condition in every row. Not to be confused with that of training, whose decoder rows have zeros only.
 * @source `distill_train_step.py`, `sc_half`
 */
export const selfConditionHalf = Effect.fnUntraced(function*(batch: NoisyBatch) {
  const backend = yield* Backend
  const { elf } = yield* Teacher
  const half = conditionOnly(batch, () => true)
  const rows = flagged(batch.usesSelfCondition, 1)
  if (rows.length === 0) return half
  insert(half, batch, rows, yield* backend.kernel("teach", () => firstPredictions(elf, batch, half, rows), trainingBatch(batch)))
  return half
})

/** Rows on the device, and where the teacher stands in them. */
interface Walk {
  readonly rows: TeacherRows
  state: TeacherState
}

const startWalk = (batch: NoisyBatch, rows: ReadonlyArray<number>, half: Float32Array | undefined): Walk => {
  const z = uploadLatents(batch, batch.z, rows)
  return {
    rows: {
      z,
      clean: uploadLatents(batch, batch.clean, rows),
      conditionMask: tf.tensor2d(rowsOf(batch.conditionMask, rows, batch.length), [rows.length, batch.length]),
      ...uploadScale(batch, rows)
    },
    state: { z: tf.clone(z), ...(half === undefined ? {} : { selfCondition: uploadLatents(batch, half, rows) }) }
  }
}

const takeStep = (walk: Walk, batch: NoisyBatch, step: () => TeacherState) =>
  Effect.flatMap(Backend, (backend) =>
    Effect.uninterruptible(Effect.map(backend.kernel("teach", step, trainingBatch(batch)), (next) => {
      tf.dispose(walk.state)
      walk.state = next
    })))

/** Times of the walk's rows by step: `times[k][r]`. */
type WalkTimes = ReadonlyArray<ReadonlyArray<number>>

/** The target of the walk's rows on the host; a single step's prediction is its own target. */
const walkThrough = Effect.fnUntraced(function*(walk: Walk, times: WalkTimes, batch: NoisyBatch) {
  const { timeEpsilon } = batch
  const backend = yield* Backend
  const { elf } = yield* Teacher
  for (const [step, t] of times.slice(0, -1).entries()) {
    yield* Effect.yieldNow
    yield* takeStep(walk, batch, () => teacherStep(elf, walk.rows, walk.state, t, times[step + 1]!, timeEpsilon))
  }
  const spans = times[0]!.map((start, row) => ({ start, end: times.at(-1)![row]! }))
  return yield* backend.kernel("teach", () =>
    (times.length === 2 ? walk.state.prediction! : impliedPrediction(walk.rows, walk.state, spans)).dataSync() as Float32Array, trainingBatch(batch))
})

/**
 * What the teacher makes of the denoiser rows at `teacherTimes` `[B, K + 1]`; 0 on decoder rows. `[B, S, D]`
 * @source `distill_utils.py`, `teacher_pd_target`
 */
export const predictionTarget = Effect.fnUntraced(function*(batch: NoisyBatch, half: Float32Array | undefined, teacherTimes: Float32Array) {
  const backend = yield* Backend
  const target = new Float32Array(batch.z.length)
  const rows = flagged(batch.decoderActive, 0)
  if (rows.length === 0) return target
  const stride = teacherTimes.length / batch.size
  const times = Array.from({ length: stride }, (_, step) => rows.map((row) => teacherTimes[row * stride + step]!))
  const taught = yield* Effect.acquireUseRelease(
    backend.kernel("teach", () => startWalk(batch, rows, half), trainingBatch(batch)),
    (walk) => walkThrough(walk, times, batch),
    (walk) => Effect.sync(() => tf.dispose([walk.rows, walk.state]))
  )
  const size = batch.length * batch.width
  rows.forEach((row, i) => target.set(taught.subarray(i * size, (i + 1) * size), row * size))
  return target
})

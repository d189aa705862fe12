/**
 * The straight-line probability path from noise (t = 0) to data (t = 1).
 *
 * Arithmetic on host arrays, in fp32 and in the reference's order of operations. Every `t` is one number, or an array
 * of one time for each equal share of the elements: `[B]` times give each row of a `[B, S, D]` array its own t, and
 * `[B, S]` times each token.
 *
 * @source ELF `src/utils/sampling_utils.py`, `add_noise`, `net_out_to_v_x`, `restore_cond` (arXiv 2605.10938)
 * @since 0.1.0
 */
import { requireArgument } from "./errors.ts"

/** One time, or one for each equal share of an array's elements; values in [0, 1]. */
export type Times = number | ArrayLike<number>

const fround = Math.fround

const sameLength = (name: string, expected: number, received: number): void =>
  requireArgument(expected === received, `Path.${name}`, `of ${expected} elements`, received)

/** Has every share of an array filled under its own time; refuses times that do not divide the elements. */
const fillShares = (
  length: number,
  t: Times,
  fill: (out: Float32Array, begin: number, end: number, t: number) => void,
  out: Float32Array = new Float32Array(length)
): Float32Array => {
  const times = typeof t === "number" ? [t] : t
  const share = length / times.length
  requireArgument(length === 0 || Number.isInteger(share), "Path.t", `a divisor of ${length} elements`, times.length)
  sameLength("out", length, out.length)
  for (let group = 0; group < times.length; group++) fill(out, group * share, (group + 1) * share, fround(times[group]!))
  return out
}

/** z = t·clean + (1 − t)·noiseScale·noise: the noise at t = 0 (times its scale), the data at t = 1. Written to `out`, if given. */
export const interpolate = (clean: Float32Array, noise: Float32Array, t: Times, noiseScale = 1, out?: Float32Array): Float32Array => {
  sameLength("noise", clean.length, noise.length)
  const scale = fround(noiseScale)
  return fillShares(clean.length, t, (out, begin, end, time) => {
    const rest = fround(1 - time)
    for (let i = begin; i < end; i++) out[i] = fround(time * clean[i]!) + fround(fround(rest * noise[i]!) * scale)
  }, out)
}

/** max(1 − t, timeEpsilon): what remains of the path, kept away from zero. */
export const remaining = (t: number, timeEpsilon: number): number =>
  Math.max(fround(1 - fround(t)), fround(timeEpsilon))

/** v = (prediction − z) / max(1 − t, timeEpsilon): the velocity that a prediction of the data implies at `z`, `t`. Written to `out`, if given. */
export const velocityFromPrediction = (
  prediction: Float32Array,
  z: Float32Array,
  t: Times,
  timeEpsilon = 0.05,
  out?: Float32Array
): Float32Array => {
  sameLength("z", prediction.length, z.length)
  return fillShares(z.length, t, (out, begin, end, time) => {
    const left = remaining(time, timeEpsilon)
    for (let i = begin; i < end; i++) out[i] = fround(prediction[i]! - z[i]!) / left
  }, out)
}

/** prediction = z + max(1 − t, timeEpsilon)·v: the inverse of {@link velocityFromPrediction}. */
export const predictionFromVelocity = (
  velocity: Float32Array,
  z: Float32Array,
  t: Times,
  timeEpsilon = 0.05
): Float32Array => {
  sameLength("z", velocity.length, z.length)
  return fillShares(z.length, t, (out, begin, end, time) => {
    const left = remaining(time, timeEpsilon)
    for (let i = begin; i < end; i++) out[i] = z[i]! + fround(left * velocity[i]!)
  })
}

/** `z` with the clean values put back where `conditionMask` is above 0; a mask value covers an equal share of `z`. */
export const restoreCondition = (
  z: Float32Array,
  clean: Float32Array,
  conditionMask: ArrayLike<number>
): Float32Array => {
  sameLength("clean", z.length, clean.length)
  return fillShares(z.length, conditionMask, (out, begin, end, masked) => {
    out.set((masked > 0 ? clean : z).subarray(begin, end), begin)
  })
}

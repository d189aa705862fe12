/**
 * The velocity that a network gives to samplers: self-conditioned, guided, with the condition held in place.
 *
 * All functions are synchronous and leave their intermediate tensors to the caller's tidy scope.
 */
import * as tf from "@tensorflow/tfjs-core"
import { combine } from "../flow/Guidance.ts"
import type { Algebra, Slope, State } from "../flow/Solver.ts"
import { ownKernels } from "./backend/ownKernels.ts"
import { type Elf, predict } from "./Elf.ts"
import type { FlowProcess } from "./FlowProcess.ts"
import { restoreCondition } from "./SelfConditioning.ts"
import { velocityTowards } from "./Velocity.ts"

type Terms = Parameters<Algebra<tf.Tensor3D>["combine"]>[0]

const portable = (terms: Terms): tf.Tensor3D =>
  terms
    .map(([coefficient, value]) => (coefficient === 1 ? value : tf.mul(value, coefficient)) as tf.Tensor3D)
    .reduce((sum, term) => tf.add(sum, term))

/** Tensors as a vector space. */
export const tensorAlgebra: Algebra<tf.Tensor3D> = {
  combine: (terms) => {
    const run = ownKernels()
    if (run === undefined) return portable(terms)
    return run("ElfCombine", [tf.tensor1d(terms.map(([coefficient]) => coefficient)), ...terms.map(([, value]) => value)], 1, { count: terms.length })[0] as tf.Tensor3D
  }
}

/** Latents that stay as they are. */
export interface Condition {
  /** Clean latents `[B, S, D]`; read at condition positions only. */
  readonly clean: tf.Tensor3D
  /** 1 = condition `[B, S]` */
  readonly mask: tf.Tensor2D
}

/** How the field is guided. */
export interface FieldOptions extends Pick<FlowProcess, "timeEpsilon" | "selfConditioning"> {
  /** w: strength of self-conditioning guidance; 1 is none. */
  readonly selfConditionScale: number
  /** s: strength of classifier-free guidance on the condition; 1 is none and saves a pass. */
  readonly guidanceScale: number
}

const restoredPrediction = (x: tf.Tensor3D, condition?: Condition): tf.Tensor3D =>
  condition === undefined ? x : restoreCondition(x, condition.clean, condition.mask)

/** The condition does not move: v = 0 and x̂ = clean there. @source `sampling_utils.py`, `restore_vx` */
const restoredSlope = ({ prediction, velocity }: Slope<tf.Tensor3D>, condition?: Condition): Slope<tf.Tensor3D> =>
  condition === undefined ? { prediction, velocity } : {
    prediction: restoredPrediction(prediction, condition),
    velocity: restoreCondition(velocity, tf.zerosLike(velocity), condition.mask)
  }

const combineSlopes = (without: Slope<tf.Tensor3D>, withIt: Slope<tf.Tensor3D>, scale: number): Slope<tf.Tensor3D> => ({
  velocity: combine(tensorAlgebra, without.velocity, withIt.velocity, scale),
  prediction: combine(tensorAlgebra, without.prediction, withIt.prediction, scale)
})

type Pass = (z: tf.Tensor3D, t: tf.Tensor1D, selfCondition?: tf.Tensor3D) => Slope<tf.Tensor3D>

const pass = (elf: Elf, { selfConditionScale, timeEpsilon }: FieldOptions): Pass => (z, t, selfCondition) => {
  const prediction = predict(elf, {
    z,
    t,
    ...(selfCondition === undefined ? {} : { selfCondition }),
    ...(elf.config.selfConditionScaleTokens > 0 ? { selfConditionScale: tf.fill([z.shape[0]], selfConditionScale) as tf.Tensor1D } : {})
  })
  return { prediction, velocity: velocityTowards(prediction, z, t, timeEpsilon) }
}

/** Two passes, without and with the self-condition: for networks that do not read the scale as a token. */
const extrapolated = (run: Pass, options: FieldOptions, state: State<tf.Tensor3D>, t: tf.Tensor1D, condition?: Condition): Slope<tf.Tensor3D> => {
  const { selfConditionScale: scale } = options
  const { prediction: previous, z } = state
  const without = () => restoredSlope(run(z, t, restoredPrediction(tf.zerosLike(z), condition)), condition)
  if (previous === undefined || scale === 0) return without()
  const withPrevious = restoredSlope(run(z, t, previous), condition)
  return scale === 1 ? withPrevious : restoredSlope(combineSlopes(without(), withPrevious, scale), condition)
}

/** @source `sampling_utils.py`, `_forward_sample_self_cond` */
const selfConditioned = (elf: Elf, options: FieldOptions, state: State<tf.Tensor3D>, t: tf.Tensor1D, condition?: Condition): Slope<tf.Tensor3D> => {
  const run = pass(elf, options)
  if (elf.config.selfConditionScaleTokens > 0) {
    return restoredSlope(run(state.z, t, state.prediction ?? restoredPrediction(tf.zerosLike(state.z), condition)), condition)
  }
  if (!options.selfConditioning) return restoredSlope(run(state.z, t), condition)
  return extrapolated(run, options, state, t, condition)
}

/** The state as an unconditional model would see it: zeros where the condition stood. */
const withoutCondition = ({ prediction, z }: State<tf.Tensor3D>, { mask }: Condition): State<tf.Tensor3D> => {
  const cleared = (x: tf.Tensor3D) => restoreCondition(x, tf.zerosLike(x), mask)
  return { z: cleared(z), prediction: prediction === undefined ? undefined : cleared(prediction) }
}

/**
 * dz/dt and x̂ at (`state.z`, t), for solvers. With classifier-free guidance the carried x̂ is the combined one.
 * @source `sampling_utils.py`, `_forward_sample`
 */
export const velocityField =
  (elf: Elf, options: FieldOptions, condition?: Condition) => (state: State<tf.Tensor3D>, time: number): Slope<tf.Tensor3D> => {
    const t = tf.fill([state.z.shape[0]], time) as tf.Tensor1D
    const conditional = selfConditioned(elf, options, state, t, condition)
    if (options.guidanceScale === 1 || condition === undefined) return conditional
    const zeros = { clean: tf.zerosLike(condition.clean), mask: condition.mask }
    const unconditional = selfConditioned(elf, options, withoutCondition(state, condition), t, zeros)
    return restoredSlope(combineSlopes(unconditional, conditional, options.guidanceScale), condition)
  }

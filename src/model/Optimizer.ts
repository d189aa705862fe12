/**
 * Muon with a Nesterov-Adam companion, and AdamW: one update of all parameters, in place.
 *
 * Notable: parameters that one rule treats alike are updated together, matrices of one shape as a stack and everything
 * else as one long vector. A small network has hundreds of parameters, and starting an operation costs more than running
 * it on most of them. Traded: a group is held twice while it is updated, which is why large matrices stay alone.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels } from "./backend/ownKernels.ts"
import { type AdamCoefficients, adamInPlace, type MomentumCoefficients, muonInPlace, type Updated } from "./InPlaceOptimizer.ts"
import { newtonSchulzBatch } from "./NewtonSchulz.ts"
import { alikeGroups, type Group, mixedGroups } from "./ParameterGroups.ts"
import { makeAll, parameter, type Parameters, replace } from "./Parameters.ts"

/** Which rule updates the parameters, and its constants. */
export interface OptimizerOptions {
  readonly kind: "muon" | "adamw"
  /** AdamW only; Muon takes none, in the reference too. */
  readonly weightDecay: number
  /** AdamW only, as `beta2`; Muon's companion has 0.9 and 0.999. */
  readonly beta1: number
  readonly beta2: number
}

/** Moments of all parameters, `momentum/…`, `mean/…` and `variance/…`, and the number of updates made. */
export interface OptimizerState {
  readonly moments: Record<string, tf.Tensor>
  updates: number
}

/** What all rules need to know about this update. */
interface Update {
  /** What gradients are multiplied by: 1, or less when the global norm is clipped. */
  readonly gradientScale: number
  readonly learningRate: number
  /** 1 for the first update. */
  readonly count: number
}

/** A joined group: its parameters, gradients and moments by prefix. */
type Joined = { readonly value: tf.Tensor; readonly gradient: tf.Tensor } & Readonly<Record<string, tf.Tensor>>

/** What becomes of `value` and of each moment. */
type Rule = (group: Joined, update: Update) => Record<string, tf.Tensor>

const muonMomentum = 0.95
const adamEpsilon = 1e-8
const companion = { beta1: 0.9, beta2: 0.999 }

/** (1 − weight)·from + weight·scale·to: the running average of a scaled gradient. */
const average = (from: tf.Tensor, to: tf.Tensor, weight: number, scale: number): tf.Tensor =>
  tf.add(tf.mul(from, 1 - weight), tf.mul(to, weight * scale))

/** Nesterov momentum with both bias corrections. */
const nesterov = (moment: tf.Tensor, gradient: tf.Tensor, beta: number, { count, gradientScale }: Update): tf.Tensor =>
  tf.add(
    tf.mul(moment, beta / (1 - beta ** (count + 1))),
    tf.mul(gradient, ((1 - beta) * gradientScale) / (1 - beta ** count))
  )

/** `scale` is √max(1, outputs / inputs) of the group's matrices. @source `utils/muon_utils.py`, `_muon_update_optax` */
const muonRule = (scale: number): Rule => ({ gradient, momentum: previous, value }, update) => {
  const momentum = average(previous!, gradient, 1 - muonMomentum, update.gradientScale)
  const direction = newtonSchulzBatch(nesterov(momentum, gradient, muonMomentum, update) as tf.Tensor3D)
  return { value: tf.sub(value, tf.mul(direction, update.learningRate * scale)), momentum }
}

/** @source `utils/muon_utils.py`, `_nesterov_adam_update` */
const nesterovAdamRule: Rule = ({ gradient, mean: previousMean, value, variance: previousVariance }, update) => {
  const { count, gradientScale, learningRate } = update
  const mean = average(previousMean!, gradient, 1 - companion.beta1, gradientScale)
  const variance = average(previousVariance!, tf.square(gradient), 1 - companion.beta2, gradientScale ** 2)
  const corrected = tf.sqrt(tf.div(variance, 1 - companion.beta2 ** count))
  const direction = tf.div(nesterov(mean, gradient, companion.beta1, update), tf.add(corrected, adamEpsilon))
  return { value: tf.sub(value, tf.mul(direction, learningRate)), mean, variance }
}

/** Decoupled weight decay. @source `torch.optim.AdamW` */
const adamwRule = ({ beta1, beta2, weightDecay }: OptimizerOptions): Rule => ({ gradient, mean: previousMean, value, variance: previousVariance }, update) => {
  const { count, gradientScale, learningRate } = update
  const mean = average(previousMean!, gradient, 1 - beta1, gradientScale)
  const variance = average(previousVariance!, tf.square(gradient), 1 - beta2, gradientScale ** 2)
  const denominator = tf.add(tf.div(tf.sqrt(variance), Math.sqrt(1 - beta2 ** count)), adamEpsilon)
  const move = tf.mul(tf.div(mean, denominator), learningRate / (1 - beta1 ** count))
  return { value: tf.sub(tf.mul(value, 1 - learningRate * weightDecay), move), mean, variance }
}

/** Bare kernels are stored `[inputs, outputs]`, linear layers `[outputs, inputs]`. */
const muonScale = (name: string, [rows, columns]: ReadonlyArray<number>): number =>
  Math.sqrt(Math.max(1, name.endsWith(".weight") ? rows! / columns! : columns! / rows!))

const usesMuon = (options: OptimizerOptions, shape: ReadonlyArray<number>): boolean => options.kind === "muon" && shape.length === 2

/** The groups of a parameter set, each with its rule and its moments. */
const plan = (options: OptimizerOptions, parameters: Parameters): ReadonlyArray<readonly [Group, Rule, moments: ReadonlyArray<string>]> => {
  const names = Object.keys(parameters)
  const shapeOf = (name: string) => parameter(parameters, name).shape
  const matrices = names.filter((name) => usesMuon(options, shapeOf(name)))
  const others = names.filter((name) => !usesMuon(options, shapeOf(name)))
  const scaleOf = (name: string) => muonScale(name, shapeOf(name))
  const elementwise = options.kind === "muon" ? nesterovAdamRule : adamwRule(options)
  return [
    ...alikeGroups(matrices, parameters, scaleOf).map((group) => [group, muonRule(scaleOf(group.names[0]!)), ["momentum"]] as const),
    ...mixedGroups(others, parameters).map((group) => [group, elementwise, ["mean", "variance"]] as const)
  ]
}

/** Zero moments for `parameters`. They belong to the caller. */
export const initialState = (options: OptimizerOptions, parameters: Parameters): OptimizerState => {
  const slots = ([name, value]: [string, tf.Tensor]) =>
    (usesMuon(options, value.shape) ? ["momentum"] : ["mean", "variance"]).map((prefix) => [`${prefix}/${name}`, value] as const)
  const moments = makeAll(Object.entries(parameters).flatMap(slots), ([name, value]) => [name, tf.zerosLike(value)])
  return { moments, updates: 0 }
}

/** √ of the sum of all squared entries. @source `torch.nn.utils.clip_grad_norm_` */
export const globalNorm = (gradients: Parameters): number =>
  tf.tidy(() => {
    const run = ownKernels()
    const squares = (x: tf.Tensor) => (run === undefined ? tf.sum(tf.square(x)) : run("ElfSquares", [x], 1)[0]!)
    return Math.sqrt(tf.addN(Object.values(gradients).map(squares)).dataSync()[0]!)
  })

/** What clipping to `limit` multiplies gradients of global norm `norm` by. */
export const clipScale = (norm: number, limit: number): number => Math.min(1, limit / (norm + 1e-6))

/** Muon's running average, its weights, and Nesterov's step ahead, as {@link muonRule} has them. */
const momentumCoefficients = (beta: number, { count, gradientScale }: Update): MomentumCoefficients => ({
  keep: beta,
  add: (1 - beta) * gradientScale,
  momentumShare: beta / (1 - beta ** (count + 1)),
  gradientShare: ((1 - beta) * gradientScale) / (1 - beta ** count)
})

/** {@link nesterovAdamRule} and {@link adamwRule} in one form. */
const adamCoefficients = (options: OptimizerOptions, update: Update): AdamCoefficients => {
  const { count, gradientScale, learningRate } = update
  const { beta1, beta2 } = options.kind === "muon" ? companion : options
  const { add, gradientShare, keep, momentumShare } = momentumCoefficients(beta1, update)
  return {
    meanKeep: keep,
    meanAdd: add,
    varianceKeep: beta2,
    varianceAdd: (1 - beta2) * gradientScale ** 2,
    deviationShare: 1 / Math.sqrt(1 - beta2 ** count),
    step: learningRate,
    ...(options.kind === "muon"
      ? { meanShare: momentumShare, gradientShare, valueKeep: 1 }
      : { meanShare: 1 / (1 - beta1 ** count), gradientShare: 0, valueKeep: 1 - learningRate * options.weightDecay })
  }
}

const stepInPlace = (options: OptimizerOptions, updated: Updated, update: Update): void => {
  const names = Object.keys(updated.parameters)
  const shapeOf = (name: string) => parameter(updated.parameters, name).shape
  const scaleOf = (name: string) => muonScale(name, shapeOf(name))
  const matrices = names.filter((name) => usesMuon(options, shapeOf(name)))
  for (const { names: alike } of alikeGroups(matrices, updated.parameters, scaleOf)) {
    tf.tidy(() => muonInPlace(updated, alike, momentumCoefficients(muonMomentum, update), update.learningRate * scaleOf(alike[0]!)))
  }
  const coefficients = adamCoefficients(options, update)
  for (const name of names.filter((name) => !usesMuon(options, shapeOf(name)))) tf.tidy(() => adamInPlace(updated, name, coefficients))
}

const stepByGroups = (options: OptimizerOptions, { gradients, moments, parameters }: Omit<Updated, "run">, update: Update): void => {
  for (const [group, rule, parts] of plan(options, parameters)) {
    tf.tidy(() => {
      const joined = (tensors: Parameters, prefix = "") => group.join(group.names.map((name) => parameter(tensors, `${prefix}${name}`)))
      const before = Object.fromEntries(parts.map((moment) => [moment, joined(moments, `${moment}/`)]))
      const after = rule({ value: joined(parameters), gradient: joined(gradients), ...before }, update)
      for (const [part, tensor] of Object.entries(after)) {
        const parted = group.part(tensor)
        group.names.forEach((name, i) => part === "value" ? replace(parameters, name, parted[i]!) : replace(moments, `${part}/${name}`, parted[i]!))
      }
    })
  }
}

/** Updates all parameters and moments in place; `parameters` keeps its keys. One synchronous piece of work. */
export const step = (
  options: OptimizerOptions,
  parameters: Record<string, tf.Tensor>,
  state: OptimizerState,
  gradients: Parameters,
  at: { readonly learningRate: number; readonly gradientScale: number }
): void => {
  const update = { ...at, count: state.updates + 1 }
  const updated = { parameters, moments: state.moments, gradients }
  const run = ownKernels()
  if (run === undefined) stepByGroups(options, updated, update)
  else stepInPlace(options, { ...updated, run }, update)
  state.updates = update.count
}

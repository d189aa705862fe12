/**
 * Muon with a Nesterov-Adam companion, and AdamW: one update of all parameters, in place.
 *
 * Each rule maps (parameter, gradient, moments) to new values; `step` walks over the parameters and replaces tensors one
 * by one, so at most one parameter is held twice.
 */
import * as tf from "@tensorflow/tfjs-core"
import { newtonSchulz } from "./NewtonSchulz.ts"
import { parameter, type Parameters, replace } from "./Parameters.ts"

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

/** Everything one parameter's rule needs to know about this update. */
interface Update {
  readonly name: string
  readonly gradient: tf.Tensor
  /** What the gradient is multiplied by: 1, or less when the global norm is clipped. */
  readonly gradientScale: number
  readonly learningRate: number
  /** 1 for the first update. */
  readonly count: number
}

type Parts = Record<string, tf.Tensor>

const muonMomentum = 0.95
const adamEpsilon = 1e-8
const companion = { beta1: 0.9, beta2: 0.999 }

/** (1 − weight)·from + weight·scale·to: the running average of a scaled gradient. */
const average = (from: tf.Tensor, to: tf.Tensor, weight: number, scale = 1): tf.Tensor =>
  tf.add(tf.mul(from, 1 - weight), tf.mul(to, weight * scale))

/** Bare kernels are stored `[inputs, outputs]`, linear layers `[outputs, inputs]`. */
const fanRatio = (name: string, [rows, columns]: [number, number]): number =>
  name.endsWith(".weight") ? rows / columns : columns / rows

/** Nesterov momentum with both bias corrections. */
const nesterov = (moment: tf.Tensor, gradient: tf.Tensor, beta: number, { count, gradientScale }: Update): tf.Tensor =>
  tf.add(
    tf.mul(moment, beta / (1 - beta ** (count + 1))),
    tf.mul(gradient, ((1 - beta) * gradientScale) / (1 - beta ** count))
  )

/** @source `utils/muon_utils.py`, `_muon_update_optax` */
const muonRule = (value: tf.Tensor, moments: Parameters, update: Update): Parts => {
  const momentum = average(parameter(moments, `momentum/${update.name}`), update.gradient, 1 - muonMomentum, update.gradientScale)
  const direction = newtonSchulz(nesterov(momentum, update.gradient, muonMomentum, update) as tf.Tensor2D)
  const scale = Math.sqrt(Math.max(1, fanRatio(update.name, value.shape as [number, number])))
  return { value: tf.sub(value, tf.mul(direction, update.learningRate * scale)), momentum }
}

/** @source `utils/muon_utils.py`, `_nesterov_adam_update` */
const nesterovAdamRule = (value: tf.Tensor, moments: Parameters, update: Update): Parts => {
  const { count, gradient, gradientScale, learningRate, name } = update
  const mean = average(parameter(moments, `mean/${name}`), gradient, 1 - companion.beta1, gradientScale)
  const variance = average(parameter(moments, `variance/${name}`), tf.square(gradient), 1 - companion.beta2, gradientScale ** 2)
  const corrected = tf.sqrt(tf.div(variance, 1 - companion.beta2 ** count))
  const direction = tf.div(nesterov(mean, gradient, companion.beta1, update), tf.add(corrected, adamEpsilon))
  return { value: tf.sub(value, tf.mul(direction, learningRate)), mean, variance }
}

/** Decoupled weight decay. @source `torch.optim.AdamW` */
const adamwRule = ({ beta1, beta2, weightDecay }: OptimizerOptions) => (value: tf.Tensor, moments: Parameters, update: Update): Parts => {
  const { count, gradient, gradientScale, learningRate, name } = update
  const mean = average(parameter(moments, `mean/${name}`), gradient, 1 - beta1, gradientScale)
  const variance = average(parameter(moments, `variance/${name}`), tf.square(gradient), 1 - beta2, gradientScale ** 2)
  const denominator = tf.add(tf.div(tf.sqrt(variance), Math.sqrt(1 - beta2 ** count)), adamEpsilon)
  const move = tf.mul(tf.div(mean, denominator), learningRate / (1 - beta1 ** count))
  return { value: tf.sub(tf.mul(value, 1 - learningRate * weightDecay), move), mean, variance }
}

const usesMuon = (options: OptimizerOptions, shape: ReadonlyArray<number>): boolean => options.kind === "muon" && shape.length === 2

/** Zero moments for `parameters`. They belong to the caller. */
export const initialState = (options: OptimizerOptions, parameters: Parameters): OptimizerState => {
  const zeros = (prefix: string, [name, value]: [string, tf.Tensor]) => [`${prefix}/${name}`, tf.keep(tf.zerosLike(value))] as const
  const slots = (entry: [string, tf.Tensor]) =>
    usesMuon(options, entry[1].shape) ? [zeros("momentum", entry)] : [zeros("mean", entry), zeros("variance", entry)]
  return { moments: Object.fromEntries(Object.entries(parameters).flatMap(slots)), updates: 0 }
}

/** √ of the sum of all squared entries. @source `torch.nn.utils.clip_grad_norm_` */
export const globalNorm = (gradients: Parameters): number =>
  tf.tidy(() => Math.sqrt(tf.addN(Object.values(gradients).map((gradient) => tf.sum(tf.square(gradient)))).dataSync()[0]!))

/** What clipping to `limit` multiplies gradients of global norm `norm` by. */
export const clipScale = (norm: number, limit: number): number => Math.min(1, limit / (norm + 1e-6))

const applyTo = (parameters: Record<string, tf.Tensor>, moments: Record<string, tf.Tensor>, name: string, parts: Parts) => {
  for (const [part, tensor] of Object.entries(parts)) {
    if (part === "value") replace(parameters, name, tensor)
    else replace(moments, `${part}/${name}`, tensor)
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
  const count = state.updates + 1
  const fallback = options.kind === "muon" ? nesterovAdamRule : adamwRule(options)
  for (const name of Object.keys(parameters)) {
    tf.tidy(() => {
      const value = parameter(parameters, name)
      const update = { ...at, count, name, gradient: parameter(gradients, name) }
      const rule = usesMuon(options, value.shape) ? muonRule : fallback
      applyTo(parameters, state.moments, name, rule(value, state.moments, update))
    })
  }
  state.updates = count
}

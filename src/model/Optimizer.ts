/**
 * Muon with a Nesterov-Adam companion, and AdamW: one update of all parameters, in place.
 *
 * Notable: parameters that one rule treats alike are updated together, matrices of one shape as a stack and everything
 * else as one long vector. A small network has hundreds of parameters, and starting an operation costs more than running
 * it on most of them. Traded: a group is held twice while it is updated, which is why large matrices stay alone.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels } from "./backend/ownKernels.ts"
import { adamInPlace, muonInPlace, type Updated } from "./InPlaceOptimizer.ts"
import { newtonSchulzBatch } from "./NewtonSchulz.ts"
import {
  type AdamCoefficients, adamCoefficients, type MomentumCoefficients, muonCoefficients, type OptimizerOptions, type Update
} from "./OptimizerCoefficients.ts"
import { asOwned } from "./OwnedTensors.ts"
import { alike, type Group, mixedGroups, stackedGroups } from "./ParameterGroups.ts"
import { makeAll, parameter, type Parameters, replace } from "./Parameters.ts"

export type { OptimizerOptions } from "./OptimizerCoefficients.ts"

/** Moments of all parameters, `momentum/…`, `mean/…` and `variance/…`, and the number of updates made. */
export interface OptimizerState {
  readonly moments: Record<string, tf.Tensor>
  updates: number
}

/** A joined group: its parameters, gradients and moments by prefix. */
type Joined = { readonly value: tf.Tensor; readonly gradient: tf.Tensor } & Readonly<Record<string, tf.Tensor>>

/** What becomes of `value` and of each moment. */
type Rule = (group: Joined) => Record<string, tf.Tensor>

const adamEpsilon = 1e-8

/** a·x + b·y. */
const sum = (a: number, x: tf.Tensor, b: number, y: tf.Tensor): tf.Tensor => tf.add(tf.mul(x, a), tf.mul(y, b))

/** Muon on a stack of matrices: an orthogonal direction of their momenta, subtracted `step` times. */
const muonRule = (c: MomentumCoefficients, step: number): Rule => ({ gradient, momentum: previous, value }) => {
  const momentum = sum(c.keep, previous!, c.add, gradient)
  const direction = newtonSchulzBatch(sum(c.momentumShare, momentum, c.gradientShare, gradient) as tf.Tensor3D)
  return { value: tf.sub(value, tf.mul(direction, step)), momentum }
}

/** Adam, of either kind. */
const adamRule = (c: AdamCoefficients): Rule => ({ gradient, mean: previousMean, value, variance: previousVariance }) => {
  const mean = sum(c.meanKeep, previousMean!, c.meanAdd, gradient)
  const variance = sum(c.varianceKeep, previousVariance!, c.varianceAdd, tf.square(gradient))
  const deviation = tf.add(tf.mul(tf.sqrt(variance), c.deviationShare), adamEpsilon)
  const direction = tf.div(sum(c.meanShare, mean, c.gradientShare, gradient), deviation)
  return { value: sum(c.valueKeep, value, -c.step, direction), mean, variance }
}

/** Bare kernels are stored `[inputs, outputs]`, linear layers `[outputs, inputs]`. */
const muonScale = (name: string, [rows, columns]: ReadonlyArray<number>): number =>
  Math.sqrt(Math.max(1, name.endsWith(".weight") ? rows! / columns! : columns! / rows!))

const usesMuon = (options: OptimizerOptions, shape: ReadonlyArray<number>): boolean => options.kind === "muon" && shape.length === 2

/** The matrices that Muon updates, each with the scale of its step, and the parameters that Adam updates. */
const plan = (options: OptimizerOptions, parameters: Parameters) => {
  const names = Object.keys(parameters)
  const shapeOf = (name: string) => parameter(parameters, name).shape
  return {
    matrices: names.filter((name) => usesMuon(options, shapeOf(name))),
    scaleOf: (name: string) => muonScale(name, shapeOf(name)),
    others: names.filter((name) => !usesMuon(options, shapeOf(name)))
  }
}

/** Zero moments for `parameters`. They belong to the caller. */
export const initialState = (options: OptimizerOptions, parameters: Parameters): OptimizerState => {
  const slots = ([name, value]: [string, tf.Tensor]) =>
    (usesMuon(options, value.shape) ? ["momentum"] : ["mean", "variance"]).map((prefix) => [`${prefix}/${name}`, value] as const)
  const moments = makeAll(Object.entries(parameters).flatMap(slots), ([name, value]) => [name, asOwned(tf.zerosLike(value))])
  return { moments, updates: 0 }
}

/** √ of the sum of all squared entries. @source `torch.nn.utils.clip_grad_norm_` */
export const globalNorm = (gradients: Parameters): number =>
  tf.tidy(() => {
    const run = ownKernels()
    const all = Object.values(gradients)
    const squares = run === undefined ? tf.addN(all.map((x) => tf.sum(tf.square(x)))) : run("ElfSquares", all, 1, { count: all.length })[0]!
    return Math.sqrt(squares.dataSync()[0]!)
  })

/** What clipping to `limit` multiplies gradients of global norm `norm` by. */
export const clipScale = (norm: number, limit: number): number => Math.min(1, limit / (norm + 1e-6))

const release = (gradients: Parameters, names: ReadonlyArray<string>): void => tf.dispose(names.map((name) => parameter(gradients, name)))

const stepInPlace = (options: OptimizerOptions, updated: Updated, update: Update): void => {
  const { matrices, others, scaleOf } = plan(options, updated.parameters)
  const steps = new Map(matrices.map((name) => [name, update.learningRate * scaleOf(name)]))
  if (steps.size > 0) tf.tidy(() => muonInPlace(updated, steps, muonCoefficients(update)))
  release(updated.gradients, matrices)
  if (others.length > 0) tf.tidy(() => adamInPlace(updated, others, adamCoefficients(options, update)))
  release(updated.gradients, others)
}

const stepGroup = ({ gradients, moments, parameters }: Omit<Updated, "run">, group: Group, rule: Rule, parts: ReadonlyArray<string>): void =>
  tf.tidy(() => {
    const joined = (tensors: Parameters, prefix = "") => group.join(group.names.map((name) => parameter(tensors, `${prefix}${name}`)))
    const before = Object.fromEntries(parts.map((moment) => [moment, joined(moments, `${moment}/`)]))
    const after = rule({ value: joined(parameters), gradient: joined(gradients), ...before })
    for (const [part, tensor] of Object.entries(after)) {
      const parted = group.part(tensor)
      group.names.forEach((name, i) => part === "value" ? replace(parameters, name, parted[i]!) : replace(moments, `${part}/${name}`, parted[i]!))
    }
    release(gradients, group.names)
  })

const stepByGroups = (options: OptimizerOptions, updated: Omit<Updated, "run">, update: Update): void => {
  const { matrices, others, scaleOf } = plan(options, updated.parameters)
  const momentum = muonCoefficients(update)
  for (const group of alike(matrices, updated.parameters, scaleOf)) {
    const rule = muonRule(momentum, update.learningRate * scaleOf(group[0]!))
    for (const stack of stackedGroups(group, updated.parameters)) stepGroup(updated, stack, rule, ["momentum"])
  }
  const adam = adamRule(adamCoefficients(options, update))
  for (const group of mixedGroups(others, updated.parameters)) stepGroup(updated, group, adam, ["mean", "variance"])
}

/**
 * Updates all parameters and moments in place; `parameters` keeps its keys. One synchronous piece of work.
 *
 * **Gotchas** The gradients are used up: each is released when its parameter is updated, so that what comes next has their memory.
 */
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

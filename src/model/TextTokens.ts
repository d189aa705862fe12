/**
 * How latents enter the network: through a bottleneck, together with the prediction of them that the network was given.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { Elf, ElfInput } from "./Elf.ts"
import { linear, project, tokenRows } from "./Linear.ts"
import { parameter, type Parameters } from "./Parameters.ts"

/** `self_cond_proj` and `text_proj.proj1` as one map: `weight` `[bottleneck, 2·D]`, `bias` `[1, bottleneck]`. */
export interface Halves {
  readonly weight: tf.Tensor2D
  readonly bias: tf.Tensor2D
}

const proj1 = "text_proj.proj1.weight"
const selfConditionProjection = "self_cond_proj.weight"

/**
 * Nothing lies between `self_cond_proj` and `text_proj.proj1`, so their product goes first: it has an eighth of their numbers
 * at the published sizes.
 */
export const halvesOf = (parameters: Parameters): Halves => {
  const narrow = parameter<tf.Tensor2D>(parameters, proj1)
  return {
    weight: tf.matMul(narrow, parameter<tf.Tensor2D>(parameters, selfConditionProjection)),
    bias: project(tf.expandDims(parameter<tf.Tensor1D>(parameters, "self_cond_proj.bias"), 0) as tf.Tensor2D, narrow)
  }
}

/** The network with both projections joined once, for several passes with the same weights; the new tensors belong to the caller. */
export const withHalves = (elf: Elf): Elf => (elf.halves !== undefined || !(selfConditionProjection in elf.parameters) ? elf : { ...elf, halves: halvesOf(elf.parameters) })

/** The map from noisy latents to the bottleneck, with or without the self-conditioning half. */
export const narrowing = ({ halves, parameters }: Elf, withHalf: boolean): Halves => {
  if (!withHalf) {
    const weight = parameter<tf.Tensor2D>(parameters, proj1)
    return { weight, bias: tf.zeros([1, weight.shape[0]]) }
  }
  // A gradient goes through the product to both.
  return halves === undefined || tf.engine().isTapeOn() ? halvesOf(parameters) : halves
}

/** Through the two projections; where somebody observes, each goes by itself. */
const narrowed = (elf: Elf, { observe, selfCondition, z }: ElfInput): tf.Tensor2D => {
  const narrow = parameter<tf.Tensor2D>(elf.parameters, proj1)
  if (selfCondition === undefined) return project(tokenRows(z), narrow)
  const halves = tf.concat([tokenRows(z), tokenRows(selfCondition)], 1)
  if (observe === undefined) {
    const { bias, weight } = narrowing(elf, true)
    return tf.add(project(halves, weight), bias)
  }
  const latents = linear(elf.parameters, "self_cond_proj", halves)
  observe("self_cond_proj", latents)
  return project(latents, narrow)
}

/** Latents as tokens of the residual stream, `[B·S, hidden]`. */
export const textTokens = (elf: Elf, input: ElfInput): tf.Tensor2D => {
  const tokens = linear(elf.parameters, "text_proj.proj2", narrowed(elf, input))
  input.observe?.("text_proj", tokens)
  return tokens
}

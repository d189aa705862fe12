/**
 * The ELF network: noisy latents and control tokens in, a prediction of the clean latents or token logits out.
 *
 * Notable: `trunk` stops before the heads, so that a caller runs each head on the rows that use it only.
 */
import * as tf from "@tensorflow/tfjs-core"
import { gelu } from "./Activations.ts"
import { maskBias } from "./Attention.ts"
import { block } from "./Block.ts"
import { fusedTrunk } from "./FusedTrunk.ts"
import { linear, project } from "./Linear.ts"
import { headSize, type ModelConfig } from "./ModelConfig.ts"
import { parameter, type Parameters } from "./Parameters.ts"
import { rmsNorm } from "./RmsNorm.ts"
import { type RopeTable, ropeTable } from "./Rope.ts"
import { timeEmbedding } from "./TimeEmbedding.ts"

/** A network: its shape, its weights and the constants that follow from the shape. */
export interface Elf {
  readonly config: ModelConfig
  readonly parameters: Parameters
  readonly rope: RopeTable
  /** Both projections of noisy latents and their prediction as one, where the weights never change; else it is made for each pass. */
  readonly halves?: Halves
}

/** `self_cond_proj` and `text_proj.proj1` as one map: `weight` `[bottleneck, 2·D]`, `bias` `[1, bottleneck]`. */
export interface Halves {
  readonly weight: tf.Tensor2D
  readonly bias: tf.Tensor2D
}

/** What one forward pass reads. Not to be confused with a training batch: rows may be any selection of one. */
export interface ElfInput {
  /** Noisy latents `[B, S, D]`. */
  readonly z: tf.Tensor3D
  /** The self-conditioning half `[B, S, D]`; absent: the projection of both halves is skipped. */
  readonly selfCondition?: tf.Tensor3D
  /** Time `[B]`, 0 = noise, 1 = data. */
  readonly t: tf.Tensor1D
  /** w `[B]`; needed where the configuration has self-conditioning-scale tokens. */
  readonly selfConditionScale?: tf.Tensor1D
  /** 1 for decoder rows, 0 for denoiser rows `[B]`; absent: all rows denoise. */
  readonly decoderGate?: tf.Tensor1D
  /** 1 = visible `[B, S]`; neither training nor sampling masks, padding takes part. */
  readonly attentionMask?: tf.Tensor2D
  /** Is shown intermediate activations under the reference's names. */
  readonly observe?: (name: string, activation: tf.Tensor) => void
}

/** Number of control tokens before the text. */
export const prefixLength = (config: ModelConfig): number =>
  config.timeTokens + config.selfConditionScaleTokens + config.modeTokens

/** Rotation tables for `config`; they belong to the caller. */
export const ropeFor = (config: ModelConfig): RopeTable =>
  ropeTable({ headSize: headSize(config), length: config.length, prefix: prefixLength(config) })

const flat = (x: tf.Tensor3D): tf.Tensor2D => tf.reshape(x, [-1, x.shape[2]])

/**
 * Nothing lies between `self_cond_proj` and `text_proj.proj1`, so their product goes first: it has an eighth of their numbers
 * at the published sizes.
 */
export const halvesOf = (parameters: Parameters): Halves => {
  const narrow = parameter<tf.Tensor2D>(parameters, "text_proj.proj1.weight")
  return {
    weight: tf.matMul(narrow, parameter<tf.Tensor2D>(parameters, "self_cond_proj.weight")),
    bias: project(tf.expandDims(parameter<tf.Tensor1D>(parameters, "self_cond_proj.bias"), 0) as tf.Tensor2D, narrow)
  }
}

/** Both halves through the two projections; where somebody observes, each goes by itself. */
const narrowedHalves = ({ halves: known, parameters }: Elf, halves: tf.Tensor2D, observe: ElfInput["observe"]): tf.Tensor2D => {
  if (observe !== undefined) {
    const latents = linear(parameters, "self_cond_proj", halves)
    observe("self_cond_proj", latents)
    return project(latents, parameter<tf.Tensor2D>(parameters, "text_proj.proj1.weight"))
  }
  // A gradient goes through the product to both.
  const { bias, weight } = known === undefined || tf.engine().isTapeOn() ? halvesOf(parameters) : known
  return tf.add(project(halves, weight), bias) as tf.Tensor2D
}

const textTokens = (elf: Elf, { observe, selfCondition, z }: ElfInput): tf.Tensor2D => {
  const narrow = selfCondition === undefined
    ? project(flat(z), parameter(elf.parameters, "text_proj.proj1.weight"))
    : narrowedHalves(elf, tf.concat([flat(z), flat(selfCondition)], 1), observe)
  const tokens = linear(elf.parameters, "text_proj.proj2", narrow)
  observe?.("text_proj", tokens)
  return tokens
}

const scalarTokens = ({ parameters }: Elf, input: ElfInput, tokens: string, embedder: string, scalar: tf.Tensor1D) => {
  const embedding = timeEmbedding(parameters, embedder, scalar)
  input.observe?.(embedder, embedding)
  return tf.add(parameter(parameters, tokens), tf.expandDims(embedding, 1)) as tf.Tensor3D
}

const modeTokens = ({ config, parameters }: Elf, { decoderGate }: ElfInput, batch: number): tf.Tensor3D =>
  decoderGate === undefined
    ? tf.zeros([batch, config.modeTokens, config.hidden])
    : tf.mul(parameter(parameters, "mode_tokens"), tf.reshape(decoderGate, [batch, 1, 1]))

/** `[time | self-conditioning scale | mode]`; a denoiser row's mode tokens are zeros that are still attended to. */
const prefixTokens = (elf: Elf, input: ElfInput): ReadonlyArray<tf.Tensor3D> => {
  const { config } = elf
  const prefix = [scalarTokens(elf, input, "t_emb_tokens", "t_embedder", input.t)]
  if (config.selfConditionScaleTokens > 0) {
    if (input.selfConditionScale === undefined) throw new Error("this network needs a self-conditioning scale")
    prefix.push(scalarTokens(elf, input, "self_cond_cfg_tokens", "self_cond_cfg_embedder", input.selfConditionScale))
  }
  if (config.modeTokens > 0) prefix.push(modeTokens(elf, input, input.z.shape[0]))
  return prefix
}

const attentionBias = (mask: tf.Tensor2D, prefix: number): tf.Tensor => {
  const visible = tf.concat([tf.ones([mask.shape[0], prefix]), mask], 1)
  return tf.expandDims(tf.expandDims(maskBias(visible), 1), 1)
}

/** The blocks one by one: where a gradient, a mask or an observer needs what lies between them. */
const blocks = ({ config, parameters, rope }: Elf, input: ElfInput, start: tf.Tensor2D, prefix: number): tf.Tensor3D => {
  const [batch, length] = input.z.shape
  const positions = prefix + length
  const bias = input.attentionMask === undefined ? undefined : attentionBias(input.attentionMask, prefix)
  const shape = { batch, positions, heads: config.heads }
  let x = start
  input.observe?.("blocks.0.input", tf.reshape(x, [batch, positions, config.hidden]))
  for (let index = 0; index < config.depth; index++) {
    x = block(parameters, `blocks.${index}`, x, shape, rope, bias)
    input.observe?.(`blocks.${index}`, tf.reshape(x, [batch, positions, config.hidden]))
  }
  return tf.slice(tf.reshape(x, [batch, positions, config.hidden]) as tf.Tensor3D, [0, prefix, 0], [batch, length, config.hidden])
}

/**
 * The residual stream after the last block, at text positions only. `[B, S, hidden]`
 * @source `modules/model.py`, `ELF.forward`
 */
export const trunk = (elf: Elf, input: ElfInput): tf.Tensor3D => {
  const { config } = elf
  const [batch, length] = input.z.shape
  if (length !== config.length) throw new Error(`sequences have ${length} positions, the network has ${config.length}`)
  const prefix = prefixLength(config)
  const text = tf.reshape(textTokens(elf, input), [batch, length, config.hidden]) as tf.Tensor3D
  const start: tf.Tensor2D = tf.reshape(tf.concat([...prefixTokens(elf, input), text], 1), [batch * (prefix + length), config.hidden])
  const fused = input.attentionMask === undefined && input.observe === undefined ? fusedTrunk(elf, start, prefix) : undefined
  return fused ?? blocks(elf, input, start, prefix)
}

const rows = (x: tf.Tensor3D): tf.Tensor2D => tf.reshape(x, [-1, x.shape[2]])

/** x̂, the prediction of the clean latents, from the trunk. `[B, S, hidden]` → `[B, S, D]` @source `FinalLayer` */
export const predictionHead = ({ config, parameters }: Elf, hidden: tf.Tensor3D): tf.Tensor3D => {
  const normed = rmsNorm(rows(hidden), parameter(parameters, "final_layer.norm_final.weight"))
  return tf.reshape(linear(parameters, "final_layer.linear", normed), [hidden.shape[0], hidden.shape[1], config.textWidth])
}

/** What the unembedding multiplies, a row a token; the head has no norm of its own. `[B, S, hidden]` → `[B·S, D]` */
export const decoderHead = ({ parameters }: Elf, hidden: tf.Tensor3D): tf.Tensor2D =>
  gelu(tf.add(tf.matMul(rows(hidden), parameter<tf.Tensor2D>(parameters, "proj_kernel")), parameter(parameters, "proj_bias")))

/** Token logits of decoder-head rows. `[rows, D]` → `[rows, V]` */
export const logits = ({ parameters }: Elf, head: tf.Tensor2D): tf.Tensor2D =>
  tf.add(tf.matMul(head, parameter<tf.Tensor2D>(parameters, "unembed_kernel")), parameter(parameters, "unembed_bias"))

/** x̂ in one call: trunk and prediction head. `[B, S, D]` */
export const predict = (elf: Elf, input: ElfInput): tf.Tensor3D => predictionHead(elf, trunk(elf, input))

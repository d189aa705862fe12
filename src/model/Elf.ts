/**
 * The ELF network: noisy latents and control tokens in, a prediction of the clean latents or token logits out.
 *
 * Notable: `trunk` stops before the heads, so that a caller runs each head on the rows that use it only.
 */
import * as tf from "@tensorflow/tfjs-core"
import { gelu } from "./Activations.ts"
import { maskBias } from "./Attention.ts"
import { block } from "./Block.ts"
import { controlTokens } from "./ControlTokens.ts"
import { type FusedExit, fusedTrunk } from "./FusedTrunk.ts"
import { linear, tokenRows } from "./Linear.ts"
import { headSize, type ModelConfig } from "./ModelConfig.ts"
import { parameter, type Parameters } from "./Parameters.ts"
import { rmsNorm } from "./RmsNorm.ts"
import { type RopeTable, ropeTable } from "./Rope.ts"
import { type Halves, textTokens } from "./TextTokens.ts"

/** A network: its shape, its weights and the constants that follow from the shape. */
export interface Elf {
  readonly config: ModelConfig
  readonly parameters: Parameters
  readonly rope: RopeTable
  /** Both projections of noisy latents and their prediction as one, where the weights never change; else it is made for each pass. */
  readonly halves?: Halves
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

const attentionBias = (mask: tf.Tensor2D, prefix: number): tf.Tensor => {
  const visible = tf.concat([tf.ones([mask.shape[0], prefix]), mask], 1)
  return tf.expandDims(tf.expandDims(maskBias(visible), 1), 1)
}

/** The blocks one by one: where a gradient, a mask or an observer needs what lies between them. */
const blocks = (elf: Elf, input: ElfInput): tf.Tensor3D => {
  const { config, parameters, rope } = elf
  const [batch, length] = input.z.shape
  const prefix = prefixLength(config)
  const positions = prefix + length
  const bias = input.attentionMask === undefined ? undefined : attentionBias(input.attentionMask, prefix)
  const shape = { batch, positions, heads: config.heads }
  const text = tf.reshape(textTokens(elf, input), [batch, length, config.hidden]) as tf.Tensor3D
  let x: tf.Tensor2D = tf.reshape(tf.concat([controlTokens(elf, input), text], 1), [batch * positions, config.hidden])
  input.observe?.("blocks.0.input", tf.reshape(x, [batch, positions, config.hidden]))
  for (let index = 0; index < config.depth; index++) {
    x = block(parameters, `blocks.${index}`, x, shape, rope, bias)
    input.observe?.(`blocks.${index}`, tf.reshape(x, [batch, positions, config.hidden]))
  }
  return tf.slice(tf.reshape(x, [batch, positions, config.hidden]) as tf.Tensor3D, [0, prefix, 0], [batch, length, config.hidden])
}

const assertLength = ({ config }: Elf, { z }: ElfInput): void => {
  if (z.shape[1] !== config.length) throw new Error(`sequences have ${z.shape[1]} positions, the network has ${config.length}`)
}

/** All at once, where nobody needs what lies between. */
const fused = (elf: Elf, input: ElfInput, exit?: FusedExit): tf.Tensor3D | undefined => {
  assertLength(elf, input)
  return input.attentionMask === undefined && input.observe === undefined ? fusedTrunk(elf, input, () => controlTokens(elf, input), exit) : undefined
}

/**
 * The residual stream after the last block, at text positions only. `[B, S, hidden]`
 * @source `modules/model.py`, `ELF.forward`
 */
export const trunk = (elf: Elf, input: ElfInput): tf.Tensor3D => fused(elf, input) ?? blocks(elf, input)

const finalNorm = "final_layer.norm_final.weight"
const finalLayer = "final_layer.linear"

/** x̂, the prediction of the clean latents, from the trunk. `[B, S, hidden]` → `[B, S, D]` @source `FinalLayer` */
export const predictionHead = ({ config, parameters }: Elf, hidden: tf.Tensor3D): tf.Tensor3D => {
  const normed = rmsNorm(tokenRows(hidden), parameter(parameters, finalNorm))
  return tf.reshape(linear(parameters, finalLayer, normed), [hidden.shape[0], hidden.shape[1], config.textWidth])
}

/** What the unembedding multiplies, a row a token; the head has no norm of its own. `[B, S, hidden]` → `[B·S, D]` */
export const decoderHead = ({ parameters }: Elf, hidden: tf.Tensor3D): tf.Tensor2D =>
  gelu(tf.add(tf.matMul(tokenRows(hidden), parameter<tf.Tensor2D>(parameters, "proj_kernel")), parameter(parameters, "proj_bias")))

/** Token logits of decoder-head rows. `[rows, D]` → `[rows, V]` */
export const logits = ({ parameters }: Elf, head: tf.Tensor2D): tf.Tensor2D =>
  tf.add(tf.matMul(head, parameter<tf.Tensor2D>(parameters, "unembed_kernel")), parameter(parameters, "unembed_bias"))

/** x̂ in one call: trunk and prediction head. `[B, S, D]` */
export const predict = (elf: Elf, input: ElfInput): tf.Tensor3D =>
  fused(elf, input, { norm: finalNorm, layer: finalLayer }) ?? predictionHead(elf, blocks(elf, input))

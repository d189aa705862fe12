/**
 * The tokens before the text: they tell the network the time, the self-conditioning scale and the mode.
 */
import * as tf from "@tensorflow/tfjs-core"
import { forwardKernels } from "./backend/ownKernels.ts"
import type { Elf, ElfInput } from "./Elf.ts"
import { parameter } from "./Parameters.ts"
import { embedderWeights, frequencies, timeEmbedding } from "./TimeEmbedding.ts"

const scalarTokens = ({ parameters }: Elf, { observe }: ElfInput, tokens: string, embedder: string, scalar: tf.Tensor1D): tf.Tensor3D => {
  const learned = parameter(parameters, tokens)
  const run = observe === undefined ? forwardKernels() : undefined
  if (run !== undefined) return run("ElfScalarTokens", [scalar, frequencies(), ...embedderWeights(parameters, embedder), learned], 1)[0] as tf.Tensor3D
  const embedding = timeEmbedding(parameters, embedder, scalar)
  observe?.(embedder, embedding)
  return tf.add(learned, tf.expandDims(embedding, 1)) as tf.Tensor3D
}

const modeTokens = ({ config, parameters }: Elf, { decoderGate }: ElfInput, batch: number): tf.Tensor3D =>
  decoderGate === undefined
    ? tf.zeros([batch, config.modeTokens, config.hidden])
    : tf.mul(parameter(parameters, "mode_tokens"), tf.reshape(decoderGate, [batch, 1, 1]))

/** `[time | self-conditioning scale | mode]` `[B, P, hidden]`; a denoiser row's mode tokens are zeros that are still attended to. */
export const controlTokens = (elf: Elf, input: ElfInput): tf.Tensor3D => {
  const { config } = elf
  const tokens = [scalarTokens(elf, input, "t_emb_tokens", "t_embedder", input.t)]
  if (config.selfConditionScaleTokens > 0) {
    if (input.selfConditionScale === undefined) throw new Error("this network needs a self-conditioning scale")
    tokens.push(scalarTokens(elf, input, "self_cond_cfg_tokens", "self_cond_cfg_embedder", input.selfConditionScale))
  }
  if (config.modeTokens > 0) tokens.push(modeTokens(elf, input, input.z.shape[0]))
  return tf.concat(tokens, 1)
}

/**
 * A network as one operation of this library's own, from latents on: what runs where no gradient is asked for.
 *
 * Notable: the operation computes what `TextTokens.ts`, the blocks of `Block.ts` and a last layer do, up to rounding, without
 * their tensors in between. A sequence's result does not depend on the sequences beside it.
 */
import type * as tf from "@tensorflow/tfjs-core"
import { forwardKernels } from "./backend/ownKernels.ts"
import type { Elf, ElfInput } from "./Elf.ts"
import { parameter } from "./Parameters.ts"
import { narrowing } from "./TextTokens.ts"

/** A block's weights in the order in which the operation takes them. */
const blockWeights = [
  "norm1.weight", "attn.qkv.weight", "attn.qkv.bias", "attn.q_norm.weight", "attn.k_norm.weight", "attn.proj.weight", "attn.proj.bias",
  "norm2.weight", "mlp.w12.weight", "mlp.w12.bias", "mlp.w3.weight", "mlp.w3.bias"
]

/** The names of what the stream goes through after the last block. */
export interface FusedExit {
  /** Of an RMS norm's weight. */
  readonly norm: string
  /** Of a linear layer. */
  readonly layer: string
}

const layerOf = (name: string): ReadonlyArray<string> => [`${name}.weight`, `${name}.bias`]

/**
 * The residual stream after the last block at text positions, or what `exit` makes of it; nothing where the engine lacks the
 * operation or a gradient is being recorded. Latents `[B, S, D]`, control tokens `[B, P, hidden]` → `[B, S, outputs]`
 */
export const fusedTrunk = (elf: Elf, { selfCondition, z }: ElfInput, controlTokens: () => tf.Tensor3D, exit?: FusedExit): tf.Tensor3D | undefined => {
  const { config, parameters, rope } = elf
  const run = forwardKernels()
  if (run === undefined || config.depth === 0) return undefined
  const named = (names: ReadonlyArray<string>) => names.map((name) => parameter(parameters, name))
  const narrow = narrowing(elf, selfCondition !== undefined)
  const latents = selfCondition === undefined ? [z] : [z, selfCondition]
  const blocks = named(Array.from({ length: config.depth }, (_, block) => blockWeights.map((name) => `blocks.${block}.${name}`)).flat())
  const last = exit === undefined ? [] : named([exit.norm, ...layerOf(exit.layer)])
  const inputs = [controlTokens(), rope.cos, rope.sin, narrow.weight, narrow.bias, ...named(layerOf("text_proj.proj2")), ...latents, ...blocks, ...last]
  return run("ElfTrunk", inputs, 1, { halves: latents.length, weights: blocks.length, exits: last.length })[0] as tf.Tensor3D
}

/**
 * All blocks of a network as one operation of this library's own: what runs where no gradient is asked for.
 *
 * Notable: the operation computes what the blocks of `Block.ts` do, up to rounding, without their tensors in between. A
 * token's result does not depend on the rows beside it.
 */
import * as tf from "@tensorflow/tfjs-core"
import { ownKernels } from "./backend/ownKernels.ts"
import type { Elf } from "./Elf.ts"
import { parameter } from "./Parameters.ts"

/** A block's weights in the order in which the operation takes them. */
const blockWeights = [
  "norm1.weight", "attn.qkv.weight", "attn.qkv.bias", "attn.q_norm.weight", "attn.k_norm.weight", "attn.proj.weight", "attn.proj.bias",
  "norm2.weight", "mlp.w12.weight", "mlp.w12.bias", "mlp.w3.weight", "mlp.w3.bias"
]

/**
 * The residual stream after the last block, without the first `prefix` positions, or nothing where the engine lacks the
 * operation or a gradient is being recorded. `x` `[B·N, hidden]` → `[B, N − prefix, hidden]`
 */
export const fusedTrunk = ({ config, parameters, rope }: Elf, x: tf.Tensor2D, prefix: number): tf.Tensor3D | undefined => {
  const run = ownKernels()
  if (run === undefined || config.depth === 0 || tf.engine().isTapeOn()) return undefined
  const weights = Array.from({ length: config.depth }, (_, block) => blockWeights.map((name) => parameter(parameters, `blocks.${block}.${name}`))).flat()
  return run("ElfTrunk", [x, rope.cos, rope.sin, tf.tensor1d([prefix], "int32"), ...weights], 1, weights.length)[0] as tf.Tensor3D
}

/** Networks and parameters on the device for as long as a case uses them. */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { decoderHead, type Elf, type ElfInput, logits, predictionHead, trunk } from "../../src/model/Elf.ts"
import { type ElfWeights, Network } from "../../src/model/Network.ts"

/** Runs `use` with a network on the device as one piece of work, and leaves nothing there. */
export const withElf = <A>(name: string, weights: ElfWeights, use: (elf: Elf) => A) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const { elf } = yield* Network
    return yield* backend.kernel(name, () => use(elf))
  }).pipe(Effect.provide(Network.layer(weights)))

/** x̂ `[B, S, D]` and logits `[B, S, V]` on the host. */
export const forward = (elf: Elf, input: ElfInput) => {
  const stream = trunk(elf, input)
  return {
    out: predictionHead(elf, stream).dataSync() as Float32Array,
    logits: logits(elf, decoderHead(elf, stream)).dataSync() as Float32Array
  }
}

/** The reference joins z and the self-conditioning half along the channels; without the half there are D channels only. */
export const halves = (x: tf.Tensor3D, width: number): Pick<ElfInput, "z" | "selfCondition"> => {
  if (x.shape[2] === width) return { z: x }
  const [z, selfCondition] = tf.split(x, 2, 2) as [tf.Tensor3D, tf.Tensor3D]
  return { z, selfCondition }
}

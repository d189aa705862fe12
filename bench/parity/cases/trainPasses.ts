/** The passes of the network that a training step makes, one by one, and what each token loses. */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { restoreCondition, velocityFromPrediction } from "../../../src/flow/Path.ts"
import { Backend } from "../../../src/model/Backend.ts"
import { tokenLosses } from "../../../src/model/CrossEntropy.ts"
import { decoderHead, trunk } from "../../../src/model/Elf.ts"
import { Network } from "../../../src/model/Network.ts"
import { parameter } from "../../../src/model/Parameters.ts"
import type { CorruptedBatch } from "../../../src/streams/corrupt.ts"
import type { SelfConditionedBatch } from "../../../src/streams/selfCondition.ts"
import { forward, halves } from "../device.ts"
import type { Fixture } from "../Directory.ts"
import type { Finding } from "../Finding.ts"

/** Passes on what the reference recorded as their input; the last one's x̂ too. */
export const passFindings = (recorded: Fixture, corrupted: CorruptedBatch) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const { elf } = yield* Network
    const { clean, conditionMask, length, size, width } = corrupted
    const shape: [number, number, number] = [size, length, width]
    const guided = (half: Float32Array) => backend.kernel("pass", () => forward(elf, {
      z: recorded.tensor("denoiser_z"),
      selfCondition: tf.tensor3d(half, shape),
      t: recorded.tensor("t"),
      selfConditionScale: recorded.tensor("w")
    }).out)
    const found: Array<Finding> = []
    const near = (array: string, actual: Float32Array) => {
      if (recorded.has(array)) found.push({ array, quantity: "forward", actual, expected: recorded.floats(array) })
    }
    if (recorded.has("out_uncond")) {
      const without = yield* guided(restoreCondition(new Float32Array(clean.length), clean, conditionMask))
      near("out_uncond", without)
      near("cond_input_selfcond_half", restoreCondition(without, clean, conditionMask))
    }
    if (recorded.has("out_cond")) near("out_cond", yield* guided(recorded.floats("cond_input_selfcond_half")))
    const mixed = yield* backend.kernel("mixed", () => forward(elf, {
      ...halves(recorded.tensor("model_input"), width),
      t: recorded.tensor("t_mixed"),
      selfConditionScale: recorded.tensor("w"),
      decoderGate: recorded.tensor("decoder_active")
    }))
    near("out_mixed", mixed.out)
    near("logits_mixed", mixed.logits)
    return { found, mixed: mixed.out }
  })

/** Cross-entropies of all tokens `[B · S]`, in chunks that do not divide them. */
export const tokenCrossEntropies = (prepared: SelfConditionedBatch) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const { elf } = yield* Network
    const shape: [number, number, number] = [prepared.size, prepared.length, prepared.width]
    return yield* backend.kernel("tokenLosses", () => {
      const stream = trunk(elf, {
        z: tf.tensor3d(prepared.z, shape),
        selfCondition: tf.tensor3d(prepared.selfCondition!, shape),
        t: tf.tensor1d(prepared.t),
        selfConditionScale: tf.tensor1d(prepared.selfConditionScale!),
        decoderGate: tf.tensor1d(Float32Array.from(prepared.decoderActive))
      })
      const unembedding = {
        kernel: parameter<tf.Tensor2D>(elf.parameters, "unembed_kernel"),
        bias: parameter<tf.Tensor1D>(elf.parameters, "unembed_bias")
      }
      return tokenLosses(decoderHead(elf, stream), unembedding, tf.tensor1d(prepared.ids, "int32"), 7).dataSync() as Float32Array
    })
  })

/** The mean squared velocity error of each token. */
export const squaredErrors = (prediction: Float32Array, { length, size, t, timeEpsilon, velocityTarget, width, z }: SelfConditionedBatch): Float32Array => {
  const velocity = velocityFromPrediction(prediction, z, t, timeEpsilon)
  return Float32Array.from({ length: size * length }, (_, token) => {
    let sum = 0
    for (let i = token * width; i < (token + 1) * width; i++) sum += (velocity[i]! - velocityTarget[i]!) ** 2
    return sum / width
  })
}

/** The encoders of test/fixtures/encoders, and what PyTorch computes with them. */
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { Safetensors } from "../../src/io/index.ts"

/** The folder of an encoder: `t5-v1.0`, `t5-v1.1`, `onnx-bert`, `onnx-t5`. */
export const encoderFolder = (name: string): string => fileURLToPath(new URL(`../fixtures/encoders/${name}`, import.meta.url))

/** Ids, masks and outputs by name. */
export const expectedOutputs = (name: string) =>
  Effect.map(Safetensors.readAll(encoderFolder(`${name}-expected.safetensors`)), (tensors) => {
    const get = (key: string) => tensors.get(key)!
    return {
      ids: (key = "ids") => ({ ids: get(key).data as Int32Array, size: get(key).shape[0]!, length: get(key).shape[1]! }),
      numbers: (key: string) => get(key).data as Float32Array
    }
  })

/** `[B, S]` → `[B, S, S]`: the same keys for each query. */
export const toPairs = (mask: Float32Array, size: number, length: number): Float32Array => {
  const out = new Float32Array(size * length * length)
  for (let i = 0; i < out.length; i++) out[i] = mask[Math.floor(i / length ** 2) * length + i % length]!
  return out
}

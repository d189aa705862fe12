/**
 * Initial weights, each a function of (seed, parameter name) alone.
 */
import type { RandomSource } from "../flow/Random.ts"
import { type ModelConfig, parameterShapes } from "./ModelConfig.ts"
import type { HostTensor } from "./Parameters.ts"
import { type T5Config, t5Shapes } from "./T5Encoder.ts"

const size = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)

const normal = (source: RandomSource, name: string, length: number, deviation: number): Float32Array =>
  source.normal({ purpose: `initialization/${name}`, index: 0 }, length).map((x) => x * deviation)

/** U(−b, b) with b = √(6 / (fanIn + fanOut)), which is the same for either storage order. */
const xavierUniform = (source: RandomSource, name: string, [rows, columns]: readonly [number, number]): Float32Array => {
  const bound = Math.sqrt(6 / (rows + columns))
  return source.uniform({ purpose: `initialization/${name}`, index: 0 }, rows * columns).map((u) => (2 * u - 1) * bound)
}

const isNorm = (name: string): boolean => /norm[^.]*\.weight$/.test(name)
const isZero = (name: string): boolean => name.endsWith("bias") || name.startsWith("final_layer.linear")
const isSmallNormal = (name: string): boolean => name.endsWith("_tokens") || name.includes("embedder.")

const initialElf = (source: RandomSource, name: string, shape: ReadonlyArray<number>): Float32Array => {
  if (isNorm(name)) return new Float32Array(size(shape)).fill(1)
  if (isZero(name)) return new Float32Array(size(shape))
  if (isSmallNormal(name)) return normal(source, name, size(shape), 0.02)
  return xavierUniform(source, name, shape as [number, number])
}

/**
 * Initial weights of an ELF network: norms 1, biases and the final layer 0, learned tokens and embedders N(0, 0.02²),
 * all other matrices Xavier-uniform.
 * @source `modules/layers.py`, `_make_linear`; `modules/model.py`, `ELF.__init__`
 */
export const initialParameters = (config: ModelConfig, source: RandomSource): ReadonlyArray<HostTensor> =>
  Array.from(parameterShapes(config), ([name, shape]) => ({ name, shape, data: initialElf(source, name, shape) }))

/** The standard deviation that keeps unscaled attention and unit embeddings in range. @source `transformers`, `T5PreTrainedModel._init_weights` */
const t5Deviation = (config: T5Config, name: string): number => {
  if (name === "shared.weight") return 1
  if (name.endsWith(".q.weight")) return (config.d_model * config.d_kv) ** -0.5
  if (name.endsWith(".o.weight")) return (config.num_heads * config.d_kv) ** -0.5
  if (name.endsWith(".wo.weight")) return config.d_ff ** -0.5
  return config.d_model ** -0.5
}

/** Initial weights of a T5 encoder. */
export const initialT5 = (config: T5Config, source: RandomSource): ReadonlyArray<HostTensor> =>
  Array.from(t5Shapes(config), ([name, shape]) => ({
    name,
    shape,
    data: isNorm(name) ? new Float32Array(size(shape)).fill(1) : normal(source, name, size(shape), t5Deviation(config, name))
  }))

/**
 * The floating-point operations that a step cannot do without: products of matrices, two operations a multiply-add.
 *
 * Notable: passes without gradient are counted on the rows that use them, logits on decoder rows, and Newton–Schulz in the
 * form that needs the fewest multiplications, with half of each symmetric product. What an implementation computes beyond that
 * does not count in its favour.
 */
import { headSize, type ModelConfig, parameterShapes } from "../../src/model/ModelConfig.ts"

/** Rows of a step, by what they go through. */
export interface RowCounts {
  readonly rows: number
  readonly decoderRows: number
  /** Denoiser rows that get a first prediction: two further passes without gradient. */
  readonly selfConditionedRows: number
}

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0)

/** Multiply-adds of one row's trunk: linear layers of all positions, and attention. */
const trunkMultiplyAdds = (config: ModelConfig): number => {
  const prefix = config.timeTokens + config.selfConditionScaleTokens + config.modeTokens
  const positions = prefix + config.length
  let linear = 0
  for (const [name, shape] of parameterShapes(config)) {
    if (shape.length !== 2 || name.startsWith("final_layer") || name.endsWith("_kernel")) continue
    const calls = name.startsWith("blocks.") ? positions : name.includes("embedder") ? 1 : config.length
    linear += calls * shape[0]! * shape[1]!
  }
  return linear + config.depth * 2 * positions ** 2 * headSize(config) * config.heads
}

const predictionMultiplyAdds = (config: ModelConfig): number => config.length * config.hidden * config.textWidth

const decoderMultiplyAdds = ({ hidden, length, textWidth, vocabulary }: ModelConfig): number => length * textWidth * (hidden + vocabulary)

/** Operations of one forward pass over `rows` rows, with the prediction head, the logits or both. */
export const forwardOperations = (config: ModelConfig, rows: number, head: "prediction" | "logits"): number =>
  2 * rows * (trunkMultiplyAdds(config) + (head === "prediction" ? predictionMultiplyAdds(config) : decoderMultiplyAdds(config)))

/**
 * Half of a product that is symmetric counts. On the Gram matrix five steps take 17 of those: G² in each, Q in all but the
 * first, and two for the next G in all but the last.
 */
const newtonSchulzMultiplyAdds = ([first, second]: ReadonlyArray<number>): number => {
  const [rows, columns] = [Math.min(first!, second!), Math.max(first!, second!)]
  const outer = rows ** 2 * columns
  return Math.min(5 * (1.5 * outer + rows ** 3 / 2), 1.5 * outer + (17 * rows ** 3) / 2)
}

/** Operations of one Muon update. */
export const muonOperations = (config: ModelConfig): number =>
  2 * sum(Array.from(parameterShapes(config).values()).filter((shape) => shape.length === 2).map(newtonSchulzMultiplyAdds))

/** Operations of one training step without the optimiser: a backward pass is two forward passes. */
export const gradientOperations = (config: ModelConfig, { decoderRows, rows, selfConditionedRows }: RowCounts): number => {
  const denoiserRows = rows - decoderRows
  const withGradient = rows * trunkMultiplyAdds(config) + denoiserRows * predictionMultiplyAdds(config) + decoderRows * decoderMultiplyAdds(config)
  const without = 2 * selfConditionedRows * (trunkMultiplyAdds(config) + predictionMultiplyAdds(config))
  return 2 * (3 * withGradient + without)
}

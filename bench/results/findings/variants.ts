/**
 * The networks that are compared: one base, and what each variant changes of it. All see the same rows in the same order,
 * for as many steps where nothing else is said.
 */
import { join } from "node:path"
import { root } from "../elf.ts"

export const folder = join(root, "out", "findings")

/** A part of the corpus. */
export const corpus = (part: "train" | "held-out"): string => join(root, "out", "corpus", `${part}.parquet`)

/** Where the encoder without context is written. */
export const tokenTable = join(folder, "token-table")

/** What a latent is normalised by. */
export interface LatentStatistics {
  readonly mean: number
  readonly standardDeviation: number
}

/** What a variant changes of the base. */
export interface Variant {
  /** For tables. */
  readonly label: string
  readonly hidden?: number
  /** Latents of the encoder's token table instead of the encoder's own. */
  readonly withoutContext?: boolean
  /** Times the base's noise, of either branch. */
  readonly noise?: number
  readonly decoderProbability?: number
  /** Of the base's steps. */
  readonly share?: number
}

export const variants = {
  base: { label: "base: 4 × 128" },
  larger: { label: "larger: 4 × 256", hidden: 256 },
  // `recognise.ts`: this much more noise, and a token is as hard to recognise as in contextual latents.
  tokens: { label: "base on token embeddings", withoutContext: true, noise: 1.25 },
  tokensSameNoise: { label: "base on token embeddings, the base's noise", withoutContext: true },
  denoiser: { label: "denoiser rows only", decoderProbability: 0 },
  decoder: { label: "decoder rows only", decoderProbability: 1 },
  // As many decoder rows as the base sees.
  briefDecoder: { label: "decoder rows only, a fifth of the steps", decoderProbability: 1, share: 0.2 }
} as const satisfies Readonly<Record<string, Variant>>

export type VariantName = keyof typeof variants

/** A network: a variant trained with a seed. */
export interface Trained {
  readonly variant: VariantName
  readonly seed: number
}

/** Statistics of encoder-sotu's latents, as its card has them. */
export const contextual: LatentStatistics = { mean: 0.18386, standardDeviation: 1.57609 }

/** The folder of a network's checkpoints. */
export const checkpoints = ({ seed, variant }: Trained): string => join(folder, variant, `seed-${seed}`)

/** Steps of a network, where the base has `steps`. */
export const stepsOf = ({ variant }: Trained, steps: number): number => {
  const { share = 1 }: Variant = variants[variant]
  return Math.round(share * steps)
}

/** The run file of a network, its paths absolute. `withoutContext` are the statistics of the token table's latents. */
export const runFile = (trained: Trained, steps: number, withoutContext: LatentStatistics) => {
  const variant: Variant = variants[trained.variant]
  const { noise = 1 } = variant
  const { mean, standardDeviation } = variant.withoutContext === true ? withoutContext : contextual
  return {
    seed: trained.seed,
    model: { hidden: variant.hidden ?? 128, depth: 4, heads: 4, textWidth: 96, bottleneck: 64, length: 64 },
    encoder: {
      path: variant.withoutContext === true ? tokenTable : join(root, "models", "encoder-sotu"),
      latentMean: mean,
      latentStandardDeviation: standardDeviation
    },
    // The corpus is in order of time, and a fifth of it is read: all of it is shuffled.
    data: { train: corpus("train"), batchSize: 16, shuffleWindow: 8192 },
    flow: { noiseScale: noise, decoderNoiseScale: 2 * noise, decoderProbability: variant.decoderProbability ?? 0.2 },
    optimizer: { steps: stepsOf(trained, steps), learningRate: 0.01, schedule: "cosine", warmupSteps: 20, minimumLearningRate: 0.0005, emaDecay: 0.98 },
    checkpoint: { directory: checkpoints(trained), every: 100, keep: 1 },
    log: { every: 50, heldOutEvery: 1_000_000, file: join(checkpoints(trained), "metrics.jsonl") },
    sample: { solver: "ode", steps: 32, selfConditionScale: 2, timeGrid: "uniform" }
  }
}

/**
 * The law of t during training: which times of the path the network is asked about, and how often.
 * Not to be confused with `TimeGrid`, the times a sampler visits.
 *
 * @source ELF `src/utils/sampling_utils.py`, `sample_timesteps` (arXiv 2605.10938)
 * @since 0.1.0
 */
import { requireArgument } from "./errors.ts"
import type { DrawKey, RandomSource } from "./Random.ts"

/** A distribution on [0, 1], as the image of a standard draw. */
export interface TimeDistribution {
  readonly name: string
  /** The standard draw that {@link fromDraw} takes. */
  readonly draw: "normal" | "uniform"
  /** t for one standard draw, rounded to fp32 at the places where the reference rounds. */
  readonly fromDraw: (value: number) => number
}

/** The fp32 logistic function. */
export const sigmoid = (x: number): number => Math.fround(1 / (1 + Math.exp(-x)))

/**
 * t = sigmoid(mean + standardDeviation · n), n ~ N(0, 1): mass near sigmoid(mean), none at the ends.
 * The denoiser uses (−1.5, 0.8), which dwells near noise; the decoder branch uses (0.8, 0.8), near data.
 */
export const logitNormal = (
  options: { readonly mean: number; readonly standardDeviation: number }
): TimeDistribution => {
  const { mean, standardDeviation } = options
  requireArgument(Number.isFinite(mean), "TimeDistribution.logitNormal.mean", "finite", mean)
  requireArgument(
    Number.isFinite(standardDeviation) && standardDeviation >= 0,
    "TimeDistribution.logitNormal.standardDeviation",
    "finite and ≥ 0",
    standardDeviation
  )
  const center = Math.fround(mean), width = Math.fround(standardDeviation)
  return {
    name: "logitNormal",
    draw: "normal",
    fromDraw: (value) => sigmoid(Math.fround(Math.fround(value * width) + center))
  }
}

/** t ~ U[0, 1). */
export const uniform: TimeDistribution = { name: "uniform", draw: "uniform", fromDraw: (value) => Math.fround(value) }

/** `length` times drawn from `source` under `key`. */
export const sample = (
  distribution: TimeDistribution,
  source: RandomSource,
  key: DrawKey,
  length: number
): Float32Array => source[distribution.draw](key, length).map(distribution.fromDraw)

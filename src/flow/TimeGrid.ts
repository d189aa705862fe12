/**
 * The times that a sampler visits: sorted, first 0, last 1, both exactly.
 * Not to be confused with `TimeDistribution`, the law of t during training.
 *
 * @source ELF `src/utils/sampling_utils.py`, `get_sampling_steps` (arXiv 2605.10938)
 * @since 0.1.0
 */
import { requireArgument } from "./errors.ts"
import { type Seeded, sourceOf } from "./Random.ts"
import * as TimeDistribution from "./TimeDistribution.ts"

/** One solver step from `t` to `tNext` (0 ≤ t ≤ tNext ≤ 1, fp32 values); `index` counts from 0. */
export interface TimeStep {
  readonly index: number
  readonly t: number
  readonly tNext: number
  /** Whether the step ends at t = 1. Samplers take it without churn. */
  readonly last: boolean
}

const requireSteps = (name: string, steps: number): void =>
  requireArgument(Number.isSafeInteger(steps) && steps >= 1, `TimeGrid.${name}.steps`, "an integer ≥ 1", steps)

/** The steps between given times; they must be sorted, start at 0 and end at 1. */
export const fromTimes = (times: ArrayLike<number>): ReadonlyArray<TimeStep> => {
  const grid = Array.from(times)
  const sorted = grid.every((t, i) => i === 0 || t >= grid[i - 1]!)
  const complete = grid.length >= 2 && grid[0] === 0 && grid.at(-1) === 1
  requireArgument(sorted && complete, "TimeGrid.fromTimes.times", "sorted, with first 0 and last 1", grid.join(", "))
  return grid.slice(1).map((tNext, index) => ({ index, t: grid[index]!, tNext, last: index + 2 === grid.length }))
}

/** `steps` equal steps. */
export const uniform = (steps: number): ReadonlyArray<TimeStep> => {
  requireSteps("uniform", steps)
  return fromTimes(Float32Array.from({ length: steps + 1 }, (_, i) => i / steps))
}

/**
 * `steps` steps between sorted logit-normal times: dense near noise for the default mean −1.5, deviation 0.8.
 *
 * **Details** The times are random: another seed, or another `index` (say, the batch), is another grid.
 */
export const logitNormal = (
  options: Seeded & {
    readonly steps: number
    readonly mean?: number
    readonly standardDeviation?: number
    readonly index?: number
  }
): ReadonlyArray<TimeStep> => {
  const { index = 0, mean = -1.5, standardDeviation = 0.8, steps } = options
  requireSteps("logitNormal", steps)
  const inner = TimeDistribution.sample(
    TimeDistribution.logitNormal({ mean, standardDeviation }),
    sourceOf(options),
    { purpose: "timeGrid", index },
    steps - 1
  )
  return fromTimes([0, ...inner.sort(), 1])
}

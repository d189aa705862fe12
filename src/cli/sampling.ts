/**
 * Sampler options of a command as the stages' options.
 */
import * as Solver from "../flow/Solver.ts"
import * as TimeGrid from "../flow/TimeGrid.ts"
import type { RunConfig } from "../io/index.ts"
import type { SampleOptions } from "../streams/sample.ts"

/** A run's sampler section, with what the command line changed. */
export type SamplerChoice = RunConfig.RunConfig["sample"] & { readonly seed: number }

/** The grid of `choice`, the same for all rows. @source `generation.py`, `get_sampling_steps` */
export const timeSteps = (run: RunConfig.RunConfig, { seed, steps, timeGrid }: SamplerChoice): ReadonlyArray<TimeGrid.TimeStep> => {
  const law = run.flow.timeDistribution
  if (timeGrid === "uniform") return TimeGrid.uniform(steps)
  return TimeGrid.logitNormal({ steps, seed, ...(law.kind === "logitNormal" ? { mean: law.mean, standardDeviation: law.standardDeviation } : {}) })
}

/** Solver, guidance and noise of `choice`. */
export const samplerOptions = (run: RunConfig.RunConfig, choice: SamplerChoice): Omit<SampleOptions, "keys" | "condition"> => ({
  solver: choice.solver === "sde" ? Solver.sde({ gamma: choice.gamma, noiseScale: run.flow.noiseScale }) : Solver.euler,
  noiseScale: run.flow.noiseScale,
  selfConditionScale: choice.selfConditionScale,
  guidanceScale: choice.guidanceScale,
  timeEpsilon: run.flow.timeEpsilon,
  selfConditioning: run.flow.selfConditionProbability > 0
})

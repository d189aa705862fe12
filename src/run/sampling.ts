/**
 * A run's sampler section, with what the caller changed, as the stages' options.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { ArgumentError } from "../flow/errors.ts"
import { solverOf } from "../flow/Samplers.ts"
import * as TimeGrid from "../flow/TimeGrid.ts"
import type { RunConfig } from "../io/index.ts"
import type { FlowProcess } from "../model/FlowProcess.ts"
import type { GenerateOptions } from "../streams/generatePlan.ts"
import type { InfillOptions } from "../streams/infill.ts"
import type { SamplerOptions } from "../streams/sample.ts"

/** A run's sampler section with a seed: everything that a sample depends on besides the network. */
export type SamplerChoice = RunConfig.RunConfig["sample"] & { readonly seed: number }

/** The run's own choice, with `change` put over it. */
export const samplerChoice = (run: RunConfig.RunConfig, change: Partial<SamplerChoice>): SamplerChoice =>
  ({ ...run.sample, seed: run.seed, ...change })

/** {@link samplerChoice}, refused where its solver and churn do not go together. */
export const checkedChoice = (run: RunConfig.RunConfig, change: Partial<SamplerChoice>): Effect.Effect<SamplerChoice, ArgumentError> => {
  const choice = samplerChoice(run, change)
  return Effect.as(Effect.try({ try: () => solverOf(choice), catch: (error) => error as ArgumentError }), choice)
}

/** The grid of `choice`, the same for all rows. @source `generation.py`, `get_sampling_steps` */
export const timeSteps = (run: RunConfig.RunConfig, { seed, steps, timeGrid }: SamplerChoice): ReadonlyArray<TimeGrid.TimeStep> => {
  const law = run.flow.timeDistribution
  if (timeGrid === "uniform") return TimeGrid.uniform(steps)
  return TimeGrid.logitNormal({ steps, seed, ...(law.kind === "logitNormal" ? { mean: law.mean, standardDeviation: law.standardDeviation } : {}) })
}

/** The noise process of a run, as the network carries it. */
export const processOf = ({ data, flow, model }: RunConfig.RunConfig): FlowProcess => ({
  noiseScale: flow.noiseScale,
  timeEpsilon: flow.timeEpsilon,
  selfConditioning: flow.selfConditionProbability > 0,
  maximumCondition: Math.min(data.condition.maximum, model.length - 1)
})

/** Solver and guidance of `choice`. */
export const samplerOptions = ({ guidanceScale, selfConditionScale, ...choice }: SamplerChoice): SamplerOptions => ({
  solver: solverOf(choice),
  guidanceScale,
  selfConditionScale
})

/** Everything that `generate` needs to know, `batchSize` prompts at once. Not the length of a text: an answer has its own. */
export const generateOptions = (run: RunConfig.RunConfig, choice: SamplerChoice, batchSize: number): GenerateOptions & { readonly seed: number } => ({
  ...samplerOptions(choice),
  seed: choice.seed,
  timeSteps: timeSteps(run, choice),
  batchSize,
  ...(choice.stopWhenStable === undefined ? {} : { stopWhenStable: choice.stopWhenStable })
})

/** Everything that `infill` needs to know, `batchSize` templates at once. */
export const infillOptions = (run: RunConfig.RunConfig, choice: SamplerChoice, batchSize: number): InfillOptions & { readonly seed: number } => ({
  ...generateOptions(run, choice, batchSize),
  padding: run.data.padding,
  ...(choice.length === undefined ? {} : { length: choice.length })
})

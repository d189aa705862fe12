/**
 * A run file's noise process as the stages' options.
 *
 * @since 0.1.0
 */
import { logitNormal, type TimeDistribution, uniform } from "../flow/TimeDistribution.ts"
import type { RunConfig } from "../io/index.ts"
import type { CorruptionOptions } from "../streams/corrupt.ts"
import type { TrainOptions } from "../streams/train.ts"
import type { PlannedRun } from "./plan.ts"

const timeDistribution = ({ timeDistribution: law }: RunConfig.RunConfig["flow"]): TimeDistribution =>
  law.kind === "uniform" ? uniform : logitNormal(law)

/** How rows are corrupted. */
export const corruptionOptions = ({ data, flow, model }: RunConfig.RunConfig): CorruptionOptions => ({
  timeDistribution: timeDistribution(flow),
  noiseScale: flow.noiseScale,
  timeEpsilon: flow.timeEpsilon,
  decoderProbability: flow.decoderProbability,
  decoderNoiseScale: flow.decoderNoiseScale,
  decoderTime: logitNormal(flow.decoderTime),
  selfConditionProbability: flow.selfConditionProbability,
  selfConditionScale: model.selfConditionScaleTokens > 0 ? flow.selfConditionScale : undefined,
  padding: data.padding
})

/** How batches become updates. */
export const trainOptions = ({ optimizer }: PlannedRun): TrainOptions => ({
  optimizer,
  learningRate: optimizer.learningRate,
  schedule: optimizer.schedule,
  warmupSteps: optimizer.warmupSteps,
  minimumLearningRate: optimizer.minimumLearningRate,
  steps: optimizer.steps,
  clipNorm: optimizer.clipNorm,
  gradientAccumulation: optimizer.gradientAccumulation,
  emaDecay: optimizer.emaDecay,
  // A rollback begins where the stage stops.
  onDivergence: optimizer.onDivergence === "skip" ? "skip" : "stop"
})

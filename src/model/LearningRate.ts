/**
 * Learning-rate schedules.
 */

/** A schedule: linear warm-up from 0, then constant or a half cosine down to the minimum. */
export interface LearningRateOptions {
  readonly learningRate: number
  readonly schedule: "constant" | "cosine"
  readonly warmupSteps: number
  readonly minimumLearningRate: number
  /** Optimiser steps of the whole run; where the cosine ends. */
  readonly steps: number
}

/**
 * The rate of optimiser step `step`, counted from 0; with a warm-up the first step has rate 0.
 * @source `utils/train_utils.py`, `create_learning_rate_fn`
 */
export const learningRate = (options: LearningRateOptions, step: number): number => {
  const { learningRate: peak, minimumLearningRate, schedule, steps, warmupSteps } = options
  if (step < warmupSteps) return (peak * step) / Math.max(1, warmupSteps)
  if (schedule === "constant") return peak
  const progress = Math.min(Math.max((step - warmupSteps) / Math.max(1, steps - warmupSteps), 0), 1)
  const floor = peak > 0 ? minimumLearningRate / peak : 0
  return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * progress)))
}

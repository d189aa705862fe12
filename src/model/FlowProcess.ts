/**
 * The noise process that a network was trained on: samplers must use the same, so it travels with the network.
 */

/** What, besides its weights, says how a network is to be sampled. */
export interface FlowProcess {
  /** Standard deviation of the noise at t = 0. */
  readonly noiseScale: number
  /** Below this, 1 − t no longer shrinks. In (0, 1]. */
  readonly timeEpsilon: number
  /** Whether the network was trained with self-conditioning. */
  readonly selfConditioning: boolean
  /** Longest condition in tokens that the network was trained on. */
  readonly maximumCondition: number
}

/** The process of the published models. @source `configs/training_configs/*.yml` */
export const publishedProcess: FlowProcess = { noiseScale: 2, timeEpsilon: 0.05, selfConditioning: true, maximumCondition: 64 }

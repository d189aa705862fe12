/** How near to the reference each kind of number has to be: the one table, and the measure that it is about. */

/**
 * The largest difference allowed, over the largest magnitude of the expected array: some five to ten times what is seen on
 * the cases in `test/fixtures`, since other sizes, seeds and numbers of heads have other worst cases.
 */
export const tolerances = {
  /** Ids, masks, names, shapes: equal. */
  exact: 0,
  /** Outputs and activations of the network. */
  forward: 5e-6,
  /** Latents of the encoder. */
  encoder: 5e-6,
  /** Outputs of one layer. */
  unit: 2e-5,
  /** Sinusoids of angles up to t = 1000: no angle is known better than t · 2⁻²⁴, one unit in the last place of its frequency. */
  wideAngle: 2 * 1000 * 2 ** -24,
  /** The mathematics on the host: path, times, scales of guidance. */
  flow: 1e-6,
  /** What training reads: noisy latents, times, scales, targets. */
  corruption: 5e-6,
  /** What a teacher's steps imply, whose differences are multiplied by (1 − t) over the length of the student's step. */
  teacher: 6e-5,
  loss: 2e-6,
  gradient: 4e-5,
  /** Newton–Schulz, and weights after one optimiser's updates with given gradients. */
  optimizer: 1e-5,
  /** Global norms of given gradients. */
  norm: 5e-6,
  /** Learning rates of a schedule, whose reference computes in single precision. */
  schedule: 5e-7,
  /** Learning rates that an optimiser used. */
  learningRate: 1e-9,
  /** Losses along several training steps. */
  trajectoryLoss: 1e-5,
  /** Weights and gradient norms along several training steps. */
  trajectory: 4e-4,
  /** Latents on their way from noise to data. */
  sample: 1e-4,
  /** What the best token is ahead of the second best: the difference of two logits over the largest such difference. */
  margin: 5e-4,
  /** BLEU and ROUGE in percent: 1e-6 of a hundred. */
  textMetric: 1e-8,
  /** Entropy and perplexity, which the reference computes in single precision. */
  entropy: 1e-6,
  /** Means and deviations of initial parameters, in standard errors of their difference from the reference's. */
  statistic: 5,
  /** The largest magnitude of initial parameters over the reference's or the other way round, whichever is larger, less 1. */
  extreme: 1
} as const

export type Quantity = keyof typeof tolerances

/** How far two arrays are apart. */
export interface ErrorMeasure {
  /** max |actual − expected|; NaN counts as infinite. */
  readonly absolute: number
  /** The same over max |expected|, or over 1 where all expected values are 0. */
  readonly relative: number
}

/** Compares `expected.length` values; whether there are as many actual ones is the caller's question. */
export const measureError = (actual: ArrayLike<number>, expected: ArrayLike<number>): ErrorMeasure => {
  let absolute = 0
  let largest = 0
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(actual[i]! - expected[i]!)
    absolute = Math.max(absolute, Number.isNaN(distance) ? Infinity : distance)
    largest = Math.max(largest, Math.abs(expected[i]!))
  }
  return { absolute, relative: absolute === Infinity ? Infinity : absolute / (largest || 1) }
}

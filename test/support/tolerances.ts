/** How near to the reference each group of numbers has to be: one table, and the check that reads it. */
import { afterAll, assert } from "@effect/vitest"

/** The largest difference allowed, over the largest magnitude of the expected array. */
export const tolerances = {
  /** Outputs and activations of the network. */
  forward: 5e-6,
  /** Latents of the encoder. */
  encoder: 5e-6,
  /** Outputs of one layer. */
  unit: 2e-5,
  /** What training reads: noisy latents, times, scales, targets. */
  corruption: 5e-6,
  loss: 2e-6,
  gradient: 2e-5,
  /** Newton–Schulz, and weights after one optimiser's five updates with given gradients. */
  optimizer: 1e-5,
  /** Losses along several training steps. */
  trajectoryLoss: 5e-6,
  /** Weights and gradient norms along several training steps. */
  trajectory: 1e-4,
  /** Latents on their way from noise to data. */
  sample: 2e-5
} as const

export type Quantity = keyof typeof tolerances

const worst = new Map<Quantity, { readonly error: number; readonly what: string }>()

/** max |actual − expected| / max |expected|; the numerator alone where all expected values are 0. NaN counts as infinite. */
export const relativeError = (actual: ArrayLike<number>, expected: ArrayLike<number>): number => {
  let difference = 0
  let largest = 0
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(actual[i]! - expected[i]!)
    difference = Math.max(difference, Number.isNaN(distance) ? Infinity : distance)
    largest = Math.max(largest, Math.abs(expected[i]!))
  }
  return difference / (largest || 1)
}

/** Asserts that two arrays agree within the tolerance of what they are. */
export const assertNear = (quantity: Quantity, actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void => {
  assert.strictEqual(actual.length, expected.length, `${what}: length`)
  const error = relativeError(actual, expected)
  if (error >= (worst.get(quantity)?.error ?? 0)) worst.set(quantity, { error, what })
  assert.isAtMost(error, tolerances[quantity], `${what}: error relative to the largest value`)
}

afterAll(() => {
  if (process.env["ELF_STREAMS_SHOW_ERRORS"] !== "1") return
  for (const [quantity, { error, what }] of worst) process.stdout.write(`worst ${quantity}: ${error.toExponential(1)} (${what})\n`)
})

/** Asserts that numbers agree as the table of tolerances asks, and remembers the worst of each kind. */
import { afterAll, assert } from "@effect/vitest"
import { measureError, type Quantity, tolerances } from "../../bench/parity/tolerances.ts"

const worst = new Map<Quantity, { readonly error: number; readonly what: string }>()

/** Keeps an error for the list that `ELF_STREAMS_SHOW_ERRORS=1` prints. */
export const remember = (quantity: Quantity, error: number, what: string): void => {
  if (error >= (worst.get(quantity)?.error ?? 0)) worst.set(quantity, { error, what })
}

/** max |actual − expected| / max |expected|; the numerator alone where all expected values are 0. NaN counts as infinite. */
export const relativeError = (actual: ArrayLike<number>, expected: ArrayLike<number>): number => measureError(actual, expected).relative

/** Asserts that two arrays agree within the tolerance of what they are. */
export const assertNear = (quantity: Quantity, actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void => {
  assert.strictEqual(actual.length, expected.length, `${what}: length`)
  const error = relativeError(actual, expected)
  remember(quantity, error, what)
  assert.isAtMost(error, tolerances[quantity], `${what}: error relative to the largest value`)
}

afterAll(() => {
  if (process.env["ELF_STREAMS_SHOW_ERRORS"] !== "1") return
  for (const [quantity, { error, what }] of worst) process.stdout.write(`worst ${quantity}: ${error.toExponential(1)} (${what})\n`)
})

/** Whether two sets of equally many runs differ: the mathematics, without files. */

export const mean = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0) / values.length

const squares = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0)

/** Standard deviation of one run about the mean of its side, from both sides together. */
export const deviation = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number =>
  Math.sqrt((squares(a) + squares(b)) / (a.length + b.length - 2))

/**
 * P(|T| ≥ |t|) of Student's law with an even number of degrees of freedom, which two sides of equally many runs have.
 *
 * @source Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.4.
 */
export const twoSided = (t: number, freedom: number): number => {
  if (freedom < 2 || freedom % 2 !== 0) throw new Error(`the degrees of freedom must be even and positive, not ${freedom}`)
  const cosine = 1 / (1 + t ** 2 / freedom)
  let [term, sum] = [1, 1]
  for (let k = 1; k < freedom / 2; k++) {
    term *= (cosine * (2 * k - 1)) / (2 * k)
    sum += term
  }
  return 1 - sum * Math.sqrt(1 - cosine)
}

/** The two-sample t test of equal means, variances taken to be equal: the p-value. */
export const pValue = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  if (a.length !== b.length) throw new Error(`the test is that of equally many runs, not of ${a.length} against ${b.length}`)
  return twoSided((mean(a) - mean(b)) / (deviation(a, b) * Math.sqrt(2 / a.length)), 2 * a.length - 2)
}

/** Whether the mean of `values` lies between the smallest and the largest of `others`. */
export const within = (values: ReadonlyArray<number>, others: ReadonlyArray<number>): boolean =>
  mean(values) >= Math.min(...others) && mean(values) <= Math.max(...others)

/** The choices of `count` of the numbers `from` … `to` − 1, in lexical order. */
const choices = (from: number, to: number, count: number): ReadonlyArray<ReadonlyArray<number>> =>
  count === 0
    ? [[]]
    : Array.from({ length: Math.max(0, to - from - count + 1) }, (_, i) => from + i).flatMap((first) =>
      choices(first + 1, to, count - 1).map((rest) => [first, ...rest]))

/** The ways to part 2 × `side` runs into two halves, each way once; the first is the way they are. */
export const splits = (side: number): ReadonlyArray<readonly [ReadonlyArray<number>, ReadonlyArray<number>]> =>
  choices(1, 2 * side, side - 1).map((others) => {
    const first = [0, ...others]
    return [first, Array.from({ length: 2 * side }, (_, k) => k).filter((k) => !first.includes(k))] as const
  })

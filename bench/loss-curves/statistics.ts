/** Whether two sets of three runs differ: the mathematics, without files. */

export const mean = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0) / values.length

const squares = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0)

/** Standard deviation of one run about the mean of its side, from both sides together. */
export const deviation = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number =>
  Math.sqrt((squares(a) + squares(b)) / (a.length + b.length - 2))

/** P(|T| ≥ |t|) of Student's law with 4 degrees of freedom, which is that of three runs against three. */
export const twoSided = (t: number): number => {
  const u = 1 + t ** 2 / 4
  return 1 - (3 / 4) * (Math.abs(t) / Math.sqrt(u)) * (1 - t ** 2 / (12 * u))
}

/** The two-sample t test of equal means, variances taken to be equal: the p-value. */
export const pValue = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  if (a.length !== 3 || b.length !== 3) throw new Error(`the test is that of three runs against three, not ${a.length} against ${b.length}`)
  return twoSided((mean(a) - mean(b)) / (deviation(a, b) * Math.sqrt(2 / 3)))
}

/** How far beyond the smallest and largest of three runs the mean of three others may lie, in parts of their distance. */
export const widening = 0.5

/** Whether the mean of `values` lies among `others`, widened. */
export const within = (values: ReadonlyArray<number>, others: ReadonlyArray<number>): boolean => {
  const [low, high] = [Math.min(...others), Math.max(...others)]
  const margin = widening * (high - low)
  return mean(values) >= low - margin && mean(values) <= high + margin
}

/** The ten ways to part six runs into two threes; the first is the way they are. */
export const splits: ReadonlyArray<readonly [ReadonlyArray<number>, ReadonlyArray<number>]> = [1, 2, 3, 4, 5].flatMap((i) =>
  [1, 2, 3, 4, 5].filter((j) => j > i).map((j) => {
    const first = [0, i, j]
    return [first, [1, 2, 3, 4, 5].filter((k) => !first.includes(k))] as const
  }))

/**
 * How often each n-gram occurs in a list of tokens.
 *
 * @since 0.1.0
 */

/** Counts by n-gram: its tokens, joined with spaces. Tokens hold none, so no two n-grams share a key. */
export type NgramCounts = ReadonlyMap<string, number>

/** Counts of the n-grams of one order n ≥ 1. */
export const countNgrams = (tokens: ReadonlyArray<string>, order: number): NgramCounts => {
  const counts = new Map<string, number>()
  for (let end = order; end <= tokens.length; end++) {
    const key = tokens.slice(end - order, end).join(" ")
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

/** How many n-grams the two have in common: the sum over n-grams of the smaller count. */
export const overlap = (a: NgramCounts, b: NgramCounts): number => {
  let sum = 0
  for (const [key, count] of a) sum += Math.min(count, b.get(key) ?? 0)
  return sum
}

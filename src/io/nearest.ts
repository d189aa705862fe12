/**
 * The nearest known name, for messages such as: unknown key "leaningRate": did you mean "learningRate"?
 *
 * @since 0.1.0
 */

/** Levenshtein distance: the fewest insertions, deletions and substitutions that turn `a` into `b`. */
const editDistance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min(substituted, previous[j]! + 1, current[j - 1]! + 1))
    }
    previous = current
  }
  return previous[b.length]!
}

// Hostile input may carry a megabyte-long name; nothing that long is a typing slip.
const longestComparedName = 128

/** The candidate closest to `name` (ignoring case, `_` and `-`), or undefined where none is similar. */
export const nearest = (name: string, candidates: Iterable<string>): string | undefined => {
  if (name.length > longestComparedName) return undefined
  const plain = (text: string) => text.toLowerCase().replace(/[_\-\s]/g, "")
  let best: { readonly candidate: string; readonly distance: number } | undefined
  for (const candidate of candidates) {
    if (candidate.length > longestComparedName) continue
    const distance = editDistance(plain(name), plain(candidate))
    if (best === undefined || distance < best.distance) best = { candidate, distance }
  }
  return best !== undefined && best.distance <= Math.max(2, Math.floor(name.length / 2)) ? best.candidate : undefined
}

/**
 * The length of the longest common subsequence of two texts.
 *
 * @since 0.1.0
 */

/** Words as numbers, the same number for the same word. */
const numbered = (words: ReadonlyArray<string>, numbers: Map<string, number>): Int32Array =>
  Int32Array.from(words, (word) => {
    const known = numbers.get(word) ?? numbers.size
    numbers.set(word, known)
    return known
  })

/** Words of the longest sequence that is found in both, in order, perhaps with gaps. Takes n·m steps and m memory. */
export const commonLength = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): number => {
  const numbers = new Map<string, number>()
  const [rows, columns] = [numbered(a, numbers), numbered(b, numbers)]
  const best = new Int32Array(columns.length + 1)
  for (const word of rows) {
    let diagonal = 0
    for (let column = 1; column < best.length; column++) {
      const above = best[column]!
      const left = best[column - 1]!
      best[column] = columns[column - 1] === word ? diagonal + 1 : above > left ? above : left
      diagonal = above
    }
  }
  return best[columns.length]!
}

/**
 * The most similar of many texts: cosine of their words, weighted by how rare they are (TF-IDF).
 */
import { form } from "./text.ts"

const counted = (text: string): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const word of form(text).split(" ")) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}

/** Which of `texts` is nearest to a query, as an index; the first of several; −1 where they have no word in common. */
export const nearestOf = (texts: ReadonlyArray<string>): ((query: string) => number) => {
  const documents = texts.map(counted)
  const uses = new Map<string, number>()
  for (const document of documents) for (const word of document.keys()) uses.set(word, (uses.get(word) ?? 0) + 1)
  const weight = (word: string, count: number): number => (1 + Math.log(count)) * Math.log((1 + texts.length) / (1 + (uses.get(word) ?? 0)))
  const found = new Map<string, Array<readonly [document: number, weight: number]>>()
  documents.forEach((document, index) => {
    const weights = Array.from(document, ([word, count]) => [word, weight(word, count)] as const)
    const norm = Math.hypot(...weights.map(([, value]) => value)) || 1
    for (const [word, value] of weights) {
      if (!found.has(word)) found.set(word, [])
      found.get(word)!.push([index, value / norm])
    }
  })
  return (query) => {
    const scores = new Map<number, number>()
    for (const [word, count] of counted(query)) {
      for (const [index, value] of found.get(word) ?? []) scores.set(index, (scores.get(index) ?? 0) + value * weight(word, count))
    }
    return Array.from(scores).reduce((best, [index, score]) => score > best.score || (score === best.score && index < best.index) ? { index, score } : best, { index: -1, score: 0 }).index
  }
}

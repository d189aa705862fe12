/**
 * A scorer that needs nothing but a corpus: bigrams of tokens, smoothed by Witten and Bell, over unigrams with add-one.
 * It sees two tokens at a time, so it tells broken text from fluent text and no more.
 */

/** How probable a model of the corpus finds texts. */
export interface Scorer {
  /** Natural logarithm of the probability of each token, given the one before it. */
  readonly logProbabilities: (ids: ArrayLike<number>) => ReadonlyArray<number>
}

/** Follows `before` how often, and how many tokens at all, and how many different ones. */
interface Followers {
  readonly counts: Map<number, number>
  total: number
}

const count = (documents: ReadonlyArray<ArrayLike<number>>, start: number) => {
  const followers = new Map<number, Followers>()
  const unigrams = new Map<number, number>()
  let tokens = 0
  for (const ids of documents) {
    let before = start
    for (const id of Array.from(ids)) {
      const known = followers.get(before) ?? { counts: new Map<number, number>(), total: 0 }
      known.counts.set(id, (known.counts.get(id) ?? 0) + 1)
      known.total++
      followers.set(before, known)
      unigrams.set(id, (unigrams.get(id) ?? 0) + 1)
      tokens++
      before = id
    }
  }
  return { followers, unigrams, tokens }
}

/** Counts `documents`; `start` stands before the first token of each. */
export const bigramScorer = (documents: ReadonlyArray<ArrayLike<number>>, vocabulary: number, start: number): Scorer => {
  const { followers, tokens, unigrams } = count(documents, start)
  const unigram = (id: number) => ((unigrams.get(id) ?? 0) + 1) / (tokens + vocabulary)
  const probability = (before: number, id: number): number => {
    const known = followers.get(before)
    if (known === undefined) return unigram(id)
    const kinds = known.counts.size
    return ((known.counts.get(id) ?? 0) + kinds * unigram(id)) / (known.total + kinds)
  }
  return { logProbabilities: (ids) => Array.from(ids, (id, i) => Math.log(probability(i === 0 ? start : ids[i - 1]!, id))) }
}

/** exp of the mean negative logarithm over all tokens of all texts. */
export const perplexity = (scorer: Scorer, texts: ReadonlyArray<ArrayLike<number>>): number => {
  const logs = texts.flatMap((ids) => scorer.logProbabilities(ids))
  return Math.exp(-logs.reduce((sum, log) => sum + log, 0) / logs.length)
}

/** Entropy in nats of the tokens of one text; texts that repeat themselves have little. */
const unigramEntropy = (ids: ArrayLike<number>): number => {
  const counts = new Map<number, number>()
  for (const id of Array.from(ids)) counts.set(id, (counts.get(id) ?? 0) + 1)
  return -[...counts.values()].reduce((sum, n) => sum + (n / ids.length) * Math.log(n / ids.length), 0)
}

/** The mean over texts. */
export const meanEntropy = (texts: ReadonlyArray<ArrayLike<number>>): number =>
  texts.reduce((sum, ids) => sum + unigramEntropy(ids), 0) / texts.length

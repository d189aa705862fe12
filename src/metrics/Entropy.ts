/**
 * Entropy of the distribution of tokens within a text: low where a text repeats itself, whatever a scorer thinks of it.
 *
 * @source ELF `src/utils/metrics_utils.py`, `record_generative_perplexity`
 * @since 0.1.0
 */

/** A token: an id, or a word. */
export type Token = number | string

/**
 * −Σ p·ln(p) in nats, p being each token's share of the text. 0 for a text of no token; at most ln(number of tokens).
 *
 * **Details** Taken in 64 bits; the reference's 32 bits and its addend 1e−10 within the logarithm differ by less than 1e−6.
 */
export const unigram = (tokens: Iterable<Token>): number => {
  const counts = new Map<Token, number>()
  let total = 0
  for (const token of tokens) {
    counts.set(token, (counts.get(token) ?? 0) + 1)
    total++
  }
  let entropy = 0
  for (const count of counts.values()) entropy += count / total * Math.log(total / count)
  return entropy
}

/** The mean entropy of texts, of which there is at least one. */
export const mean = (texts: ReadonlyArray<Iterable<Token>>): number => texts.reduce((sum, tokens) => sum + unigram(tokens), 0) / texts.length

/**
 * Generative perplexity: how surprising a scorer finds texts, token by token, and which of the tokens count.
 *
 * @source ELF `src/utils/metrics_utils.py`, `_compute_batch_nlls`, `Perplexity` (arXiv 2605.10938)
 * @since 0.1.0
 */

/**
 * Which tokens count. `corrected`: each token that is not EOS, and the first EOS, once. `reference`: the published
 * protocol, whose mask for the first EOS keeps every position from the first EOS up to the second, so that tokens between
 * them count twice; the two agree on texts without EOS inside.
 */
export type Mask = "reference" | "corrected"

/** Both masks, the default first. */
export const masks: ReadonlyArray<Mask> = ["reference", "corrected"]

/**
 * How often each position counts, 0, 1 or 2, for a padded row of ids `[S]` → `[S − 1]`: the first token has no context and
 * never counts.
 */
export const tokenWeights = (ids: ArrayLike<number>, endOfSequenceId: number, mask: Mask = "reference"): Uint8Array => {
  const weights = new Uint8Array(Math.max(0, ids.length - 1))
  let ends = 0
  for (let i = 0; i < ids.length; i++) {
    const isEnd = ids[i] === endOfSequenceId
    if (isEnd) ends++
    const isFirstEnd = ends === 1 && (isEnd || mask === "reference")
    if (i > 0) weights[i - 1] = Number(!isEnd) + Number(isFirstEnd)
  }
  return weights
}

/** Sums over tokens; those of several texts add up. */
export interface Surprisal {
  /** Σ weight · −ln p, in nats. */
  readonly sum: number
  /** Σ weight. */
  readonly weight: number
}

/** The weighted surprisal of one text: `losses` are −ln p of its tokens in nats, `weights` how often each counts. */
export const surprisal = (losses: ArrayLike<number>, weights: ArrayLike<number>): Surprisal => {
  let sum = 0
  let weight = 0
  for (let i = 0; i < losses.length; i++) {
    // A token that does not count must not spoil the sum, whatever its loss.
    if (weights[i] === 0) continue
    sum += weights[i]! * losses[i]!
    weight += weights[i]!
  }
  return { sum, weight }
}

/** exp(Σ / weight): of one text, or of a corpus, whose tokens all count alike. NaN where nothing counts. */
export const perplexity = (texts: Iterable<Surprisal>): number => {
  let sum = 0
  let weight = 0
  for (const text of texts) {
    sum += text.sum
    weight += text.weight
  }
  return Math.exp(sum / weight)
}

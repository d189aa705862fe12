/**
 * Language models of n-grams with modified Kneser–Ney smoothing: what judges texts where no neural scorer is at hand.
 *
 * P(w | h) = (max(0, c(hw) − D(c)) + γ(h)·P(w | h′)) / Σ c(h·), where h′ is h without its first token, c is the count at
 * the highest order and below it the number of different tokens that an n-gram follows, D is one discount each for
 * counts 1, 2 and more, and γ(h) is what the discounts took away. Below one token lies the uniform distribution, so every
 * token has a probability.
 *
 * @source S. F. Chen, J. Goodman, "An empirical study of smoothing techniques for language modeling" (1998), section 3
 * @since 0.1.0
 */
import { requireArgument } from "../flow/errors.ts"
import { type GrowingTrie, makeTrie, type NgramTrie } from "./NgramTrie.ts"

/** How n-grams are counted. */
export interface CountOptions {
  /** Longest n-gram, 1 to 8. */
  readonly order: number
  /** V: token ids lie in [0, V). */
  readonly vocabulary: number
}

/** Counts of a corpus: at the highest order occurrences, below it different predecessors. */
export interface NgramCorpus extends CountOptions {
  readonly trie: NgramTrie
}

/** What a count of 1, of 2, and of 3 or more loses. */
export type Discounts = readonly [one: number, two: number, more: number]

/** A model ready to be asked. */
export interface NgramModel extends CountOptions {
  /** For each order from 1. */
  readonly discounts: ReadonlyArray<Discounts>
  /** P(token | context) in (0, 1]; of the context the last `order − 1` tokens matter. */
  readonly probability: (context: ArrayLike<number>, token: number) => number
  /** −ln P in nats of every token but the first, each given those before it. `[S]` → `[S − 1]` */
  readonly losses: (ids: ArrayLike<number>) => Float64Array
}

const checkOptions = ({ order, vocabulary }: CountOptions): void => {
  requireArgument(Number.isSafeInteger(order) && order >= 1 && order <= 8, "KneserNey.count.order", "an integer from 1 to 8", order)
  requireArgument(Number.isSafeInteger(vocabulary) && vocabulary >= 1, "KneserNey.count.vocabulary", "an integer ≥ 1", vocabulary)
}

/** Adds the n-grams that end with `token`. `ends` holds the nodes of the last 0, 1, … tokens; the result those behind `token`. */
const follow = (trie: GrowingTrie, ends: ReadonlyArray<number>, token: number, order: number): ReadonlyArray<number> => {
  const next = [0]
  for (let length = 1; length <= Math.min(order, ends.length); length++) {
    const before = trie.size()
    const node = trie.add(ends[length - 1]!, token)
    if (length === order) trie.increase(node, 1)
    // A new n-gram is one more predecessor of what follows its first token.
    if (trie.size() > before && length > 1) trie.increase(next[length - 1]!, 1)
    next.push(node)
  }
  return next.slice(0, order)
}

/**
 * Counts the n-grams of a corpus: one stream of tokens, documents joined by a token that ends them, as they are packed for
 * training.
 */
export const count = (tokens: Iterable<number>, options: CountOptions): NgramCorpus => {
  checkOptions(options)
  const { order, vocabulary } = options
  const trie = makeTrie()
  let ends: ReadonlyArray<number> = [0]
  for (const token of tokens) {
    requireArgument(Number.isSafeInteger(token) && token >= 0 && token < vocabulary, "KneserNey.count.tokens", `in [0, ${vocabulary})`, token)
    ends = follow(trie, ends, token, order)
  }
  return { order, vocabulary, trie }
}

/** Taken where a corpus is too small to estimate them. */
const fallbackDiscounts: Discounts = [0.5, 1, 1.5]

/** The discounts that leave held-out counts unbiased; `seen` says how many n-grams have a count of 1, 2, 3 and 4. */
const discountsFrom = (seen: ReadonlyArray<number>): Discounts => {
  const [one, two] = seen as [number, number]
  const share = one / (one + 2 * two)
  const estimated = [1, 2, 3].map((n) => n - (n + 1) * share * seen[n]! / seen[n - 1]!) as [number, number, number]
  return estimated.every((discount, i) => discount > 0 && discount <= i + 1) ? estimated : fallbackDiscounts
}

const discountsOf = ({ order, trie }: NgramCorpus): ReadonlyArray<Discounts> => {
  const seen = Array.from({ length: order }, () => [0, 0, 0, 0])
  for (let node = 1; node < trie.size(); node++) {
    const found = trie.count(node)
    if (found >= 1 && found <= 4) seen[trie.depth(node) - 1]![found - 1]!++
  }
  return seen.map(discountsFrom)
}

/** Of every context the sum of its counts, and how much of it the discounts take. */
const contextSums = ({ trie }: NgramCorpus, discountOf: (node: number) => number) => {
  const totals = new Float64Array(trie.size())
  const taken = new Float64Array(trie.size())
  for (let node = 1; node < trie.size(); node++) {
    totals[trie.parent(node)]! += trie.count(node)
    taken[trie.parent(node)]! += discountOf(node)
  }
  return { totals, taken }
}

/** The model of counts. */
export const model = (corpus: NgramCorpus): NgramModel => {
  const { order, trie, vocabulary } = corpus
  const discounts = discountsOf(corpus)
  const discountOf = (node: number): number => {
    const found = trie.count(node)
    return found === 0 ? 0 : discounts[trie.depth(node) - 1]![Math.min(found, 3) - 1]!
  }
  const { taken, totals } = contextSums(corpus, discountOf)

  /** P of `token` behind the contexts `ends`, shortest first, and the contexts behind it. */
  const ask = (ends: ReadonlyArray<number>, token: number): { readonly probability: number; readonly next: ReadonlyArray<number> } => {
    const next = [0]
    let probability = 1 / vocabulary
    for (const context of ends) {
      const node = trie.find(context, token)
      const kept = node === -1 ? 0 : trie.count(node) - discountOf(node)
      // A context that nothing was seen to follow has no opinion.
      if (totals[context]! > 0) probability = (kept + taken[context]! * probability) / totals[context]!
      if (node !== -1) next.push(node)
    }
    return { probability, next: next.slice(0, order) }
  }

  /** The nodes of the last 0, 1, … tokens of `ids` that the corpus has. */
  const endsOf = (ids: ArrayLike<number>): ReadonlyArray<number> => {
    let ends: ReadonlyArray<number> = [0]
    for (const token of Array.from(ids).slice(-(order - 1) || ids.length)) ends = ask(ends, token).next
    return ends
  }

  const losses = (ids: ArrayLike<number>): Float64Array => {
    const out = new Float64Array(Math.max(0, ids.length - 1))
    let ends: ReadonlyArray<number> = [0]
    for (let i = 0; i < ids.length; i++) {
      const { next, probability } = ask(ends, ids[i]!)
      if (i > 0) out[i - 1] = -Math.log(probability)
      ends = next
    }
    return out
  }

  return { order, vocabulary, discounts, losses, probability: (context, token) => ask(endsOf(context), token).probability }
}

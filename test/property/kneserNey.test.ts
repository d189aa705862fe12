import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { KneserNey } from "../../src/metrics/index.ts"

const vocabulary = 5
const token = fc.integer({ min: 0, max: vocabulary - 1 })
const tokens = fc.array(token, { maxLength: 60 })
const order = fc.integer({ min: 1, max: 5 })
const train = (stream: ReadonlyArray<number>, n: number) => KneserNey.model(KneserNey.count(stream, { order: n, vocabulary }))

/** The definition word for word, over strings and without a tree; discounts are the model's. */
const simple = (stream: ReadonlyArray<number>, n: number, discounts: ReadonlyArray<KneserNey.Discounts>) => {
  const grams = (length: number) => Array.from({ length: Math.max(0, stream.length - length + 1) }, (_, i) => stream.slice(i, i + length).join())
  const occurrences = (gram: string, length: number) => grams(length).filter((each) => each === gram).length
  const predecessors = (gram: string, length: number) => new Set(grams(length + 1).filter((each) => each.endsWith(`,${gram}`))).size
  const count = (gram: ReadonlyArray<number>) => gram.length === n ? occurrences(gram.join(), n) : predecessors(gram.join(), gram.length)
  const probability = (context: ReadonlyArray<number>, word: number): number => {
    const below = context.length === 0 ? 1 / vocabulary : probability(context.slice(1), word)
    const counts = Array.from({ length: vocabulary }, (_, each) => count([...context, each]))
    const total = counts.reduce((a, b) => a + b, 0)
    if (total === 0) return below
    const discount = (c: number) => c === 0 ? 0 : discounts[context.length]![Math.min(c, 3) - 1]!
    const taken = counts.reduce((sum, c) => sum + discount(c), 0)
    return (counts[word]! - discount(counts[word]!) + taken * below) / total
  }
  return (context: ReadonlyArray<number>, word: number) => probability(n === 1 ? [] : context.slice(-(n - 1)), word)
}

describe("Kneser–Ney", () => {
  it("gives every token a probability behind any context, and they sum to 1", () => {
    fc.assert(fc.property(tokens, order, tokens, (stream, n, context) => {
      const { probability } = train(stream, n)
      const all = Array.from({ length: vocabulary }, (_, each) => probability(context, each))
      assert.closeTo(all.reduce((a, b) => a + b, 0), 1, 1e-12)
      for (const each of all) assert.isAbove(each, 0)
    }))
  })

  it("is its definition", () => {
    fc.assert(fc.property(tokens, order, fc.array(token, { maxLength: 6 }), token, (stream, n, context, word) => {
      const { discounts, probability } = train(stream, n)
      assert.closeTo(probability(context, word), simple(stream, n, discounts)(context, word), 1e-12)
    }), { numRuns: 60 })
  })

  it("loses −ln p of each token but the first", () => {
    fc.assert(fc.property(tokens, order, tokens, (stream, n, ids) => {
      const { losses, probability } = train(stream, n)
      assert.deepStrictEqual(Array.from(losses(ids)), ids.slice(1).map((id, i) => -Math.log(probability(ids.slice(0, i + 1), id))))
    }))
  })

  it("has the values that are computed by hand", () => {
    // 0 1 0 1 0 2 0, bigrams: 01 twice, 10 twice, 02 and 20 once. Few counts, so the discounts are ½, 1 and 1½.
    const { discounts, probability } = train([0, 1, 0, 1, 0, 2, 0], 2)
    assert.deepStrictEqual(discounts, [[0.5, 1, 1.5], [0.5, 1, 1.5]])
    // Predecessors: 0 has two (1, 2), 1 and 2 have one (0); Σ = 4, taken 1 + ½ + ½ = 2, and 1/5 lies below.
    const unigram = [(2 - 1 + 2 / 5) / 4, (1 - 0.5 + 2 / 5) / 4, (1 - 0.5 + 2 / 5) / 4, 2 / 5 / 4, 2 / 5 / 4]
    unigram.forEach((p, word) => assert.closeTo(probability([], word), p, 1e-12))
    // Behind 0 there were 1 twice and 2 once: Σ = 3, taken 1 + ½.
    const behind0 = [1.5 * unigram[0]! / 3, (2 - 1 + 1.5 * unigram[1]!) / 3, (1 - 0.5 + 1.5 * unigram[2]!) / 3]
    behind0.forEach((p, word) => assert.closeTo(probability([0], word), p, 1e-12))
    // Nothing was seen behind 4.
    assert.closeTo(probability([4], 1), unigram[1]!, 1e-12)
  })

  it("estimates its discounts from the counts of counts where a corpus is large enough", () => {
    // One unigram each seen once to four times: Y = 1/3, D = 1 − 2Y, 2 − 3Y, 3 − 4Y.
    const { discounts } = train([0, 1, 1, 2, 2, 2, 3, 3, 3, 3], 1)
    discounts[0]!.forEach((discount, i) => assert.closeTo(discount, [1 / 3, 1, 5 / 3][i]!, 1e-12))
  })

  it("refuses an order and tokens out of range", () => {
    assert.throws(() => train([], 0), /order must be an integer from 1 to 8/)
    assert.throws(() => train([vocabulary], 2), /tokens must be in \[0, 5\)/)
  })
})

import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Bleu, Entropy, Perplexity, Rouge } from "../../src/metrics/index.ts"
import { commonLength } from "../../src/metrics/longestCommonSubsequence.ts"
import { tokenize13a } from "../../src/metrics/tokenize13a.ts"

const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.array(fc.constantFrom("the", "people", "kept", "their", "peace", "3.5%", "U.S.,", "–")).map((words) => words.join(" ")))
const pairs = fc.array(fc.record({ hypothesis: text, reference: text }), { minLength: 1, maxLength: 6 })
const sides = (rows: ReadonlyArray<{ readonly hypothesis: string; readonly reference: string }>) =>
  [rows.map(({ hypothesis }) => hypothesis), rows.map(({ reference }) => reference)] as const

describe("BLEU", () => {
  it("is in [0, 100], and 100 for a text against itself that has a token", () => {
    fc.assert(fc.property(text, text, (a, b) => {
      const { bleu } = Bleu.corpus([a], [b])
      assert.isTrue(bleu >= 0 && bleu <= 100 + 1e-9)
      assert.closeTo(Bleu.corpus([a], [a]).bleu, tokenize13a(a).length === 0 ? 0 : 100, 1e-9)
    }))
  })

  it("of a corpus does not depend on the order of its pairs, and follows from the sums of their statistics", () => {
    fc.assert(fc.property(pairs, (rows) => {
      const score = Bleu.corpus(...sides(rows))
      assert.strictEqual(Bleu.corpus(...sides(rows.toReversed())).bleu, score.bleu)
      const each = rows.map(({ hypothesis, reference }) => Bleu.segmentStatistics(hypothesis, reference))
      assert.deepStrictEqual(score.matches, score.matches.map((_, i) => each.reduce((sum, { matches }) => sum + matches[i]!, 0)))
      assert.strictEqual(score.hypothesisLength, each.reduce((sum, { hypothesisLength }) => sum + hypothesisLength, 0))
    }))
  })

  it("finds no more matches than n-grams on either side", () => {
    fc.assert(fc.property(text, text, (a, b) => {
      const { matches, referenceLength, totals } = Bleu.segmentStatistics(a, b)
      matches.forEach((count, i) => assert.isTrue(count <= totals[i]! && count <= Math.max(0, referenceLength - i)))
    }))
  })

  it("refuses sides of different lengths", () => {
    assert.throws(() => Bleu.corpus(["a"], []), /as many as hypotheses/)
  })
})

describe("ROUGE", () => {
  const values = ({ rouge1, rouge2, rougeL }: Rouge.RougeScore) => [rouge1, rouge2, rougeL]

  it("is an F1: symmetric, in [0, 100], 100 for a text against itself", () => {
    fc.assert(fc.property(text, text, (a, b) => {
      values(Rouge.pair(a, b)).forEach((value, i) => {
        assert.isTrue(value >= 0 && value <= 100 + 1e-9)
        assert.closeTo(value, values(Rouge.pair(b, a))[i]!, 1e-9)
      })
      const words = Rouge.tokens(a).length
      assert.deepStrictEqual(values(Rouge.pair(a, a)), [words > 0 ? 100 : 0, words > 1 ? 100 : 0, words > 0 ? 100 : 0])
    }))
  })

  it("finds the longest common subsequence", () => {
    const simple = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): number => {
      if (a.length === 0 || b.length === 0) return 0
      if (a[0] === b[0]) return 1 + simple(a.slice(1), b.slice(1))
      return Math.max(simple(a.slice(1), b), simple(a, b.slice(1)))
    }
    const words = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 8 })
    fc.assert(fc.property(words, words, (a, b) => assert.strictEqual(commonLength(a, b), simple(a, b))))
  })

  it("refuses a corpus of no pair", () => {
    assert.throws(() => Rouge.corpus([], []), /at least one text/)
  })
})

describe("entropy", () => {
  const tokens = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1 })

  it("lies between 0 and the logarithm of the number of different tokens, which a uniform text reaches", () => {
    fc.assert(fc.property(tokens, (ids) => {
      const different = new Set(ids)
      const entropy = Entropy.unigram(ids)
      assert.isTrue(entropy >= 0 && entropy <= Math.log(different.size) + 1e-12)
      assert.closeTo(Entropy.unigram(different), Math.log(different.size), 1e-12)
    }))
  })

  it("does not depend on order, names or repetition of the whole text", () => {
    fc.assert(fc.property(tokens, (ids) => {
      const entropy = Entropy.unigram(ids)
      for (const same of [ids.toReversed(), [...ids, ...ids], ids.map((id) => `w${id}`)]) assert.closeTo(Entropy.unigram(same), entropy, 1e-12)
    }))
    assert.strictEqual(Entropy.unigram([]), 0)
  })
})

describe("perplexity", () => {
  const eos = 9
  const ids = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 20 })

  it("counts each token but EOS once and the first EOS once; the reference's mask also what lies between two of them", () => {
    fc.assert(fc.property(ids, (row) => {
      const corrected = Array.from(Perplexity.tokenWeights(row, eos, "corrected"))
      const first = row.indexOf(eos)
      assert.deepStrictEqual(corrected, row.slice(1).map((id, i) => Number(id !== eos || i + 1 === first)))
      const second = row.indexOf(eos, first + 1)
      const between = (i: number) => first !== -1 && i > first && (second === -1 || i < second)
      assert.deepStrictEqual(Array.from(Perplexity.tokenWeights(row, eos)), corrected.map((weight, i) => weight + Number(between(i + 1))))
    }))
  })

  it("of a text whose tokens all have probability 1/n is n, whatever is padded to it", () => {
    fc.assert(fc.property(fc.integer({ min: 2, max: 1000 }), fc.integer({ min: 1, max: 9 }), (n, length) => {
      const losses = Array.from({ length: length + 3 }, (_, i) => i < length ? Math.log(n) : Infinity)
      const weights = losses.map((_, i) => Number(i < length))
      assert.closeTo(Perplexity.perplexity([Perplexity.surprisal(losses, weights)]) / n, 1, 1e-12)
    }))
    assert.isNaN(Perplexity.perplexity([]))
  })
})

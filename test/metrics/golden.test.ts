/** Equal to sacrebleu, rouge_score and nltk on the reference's texts, and on texts that are hard on metrics. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Bleu, Entropy, Perplexity, Rouge } from "../../src/metrics/index.ts"
import { porterStem } from "../../src/metrics/porterStem.ts"

const read = <A>(name: string): A => JSON.parse(readFileSync(join(import.meta.dirname, "..", "fixtures", "metrics", name), "utf8")) as A

type RougeName = "rouge1" | "rouge2" | "rougeL"
const rougeNames: ReadonlyArray<RougeName> = ["rouge1", "rouge2", "rougeL"]

interface Reference {
  readonly bleu: Readonly<Record<"corpus" | "bp" | "corpus_first24" | "corpus_last40", number>> & { readonly counts: Array<number>; readonly totals: Array<number>; readonly precisions: Array<number> }
  readonly rouge: { readonly means: Readonly<Record<RougeName, number>> }
  readonly rouge_tokens: ReadonlyArray<{ readonly text: string; readonly tokens: ReadonlyArray<string> }>
  readonly pairs: ReadonlyArray<{ readonly hyp: string; readonly ref: string; readonly sentence_bleu: number } & Readonly<Record<RougeName, { readonly f: number }>>>
  readonly entropy: ReadonlyArray<{ readonly tokens: ReadonlyArray<number>; readonly entropy: number }>
  readonly ppl: { readonly eos: number; readonly ids: Array<Array<number>>; readonly nll: Array<Array<number>>; readonly valid: Array<Array<number>>; readonly ppl: number }
}

interface Fuzzed {
  readonly corpus: Readonly<Record<"bleu" | "bleuLowercase" | RougeName, number>>
  readonly pairs: ReadonlyArray<{ readonly hypothesis: string; readonly reference: string } & Readonly<Record<"bleu" | "bleuLowercase" | RougeName, number>>>
  readonly stems: Readonly<Record<string, string>>
}

const tolerance = 1e-9

describe("the reference's texts", () => {
  const { bleu, entropy, pairs, ppl, rouge, rouge_tokens } = read<Reference>("reference.json")
  const hypotheses = pairs.map(({ hyp }) => hyp)
  const references = pairs.map(({ ref }) => ref)
  const lower = { lowercase: true }

  it("have the BLEU of sacrebleu, each pair and the corpus", () => {
    assert.strictEqual(pairs.length, 64)
    for (const { hyp, ref, sentence_bleu } of pairs) assert.closeTo(Bleu.corpus([hyp], [ref], lower).bleu, sentence_bleu, tolerance, hyp)
    const score = Bleu.corpus(hypotheses, references, lower)
    assert.closeTo(score.bleu, bleu.corpus, tolerance)
    assert.closeTo(score.brevityPenalty, bleu.bp, tolerance)
    assert.deepStrictEqual([score.matches, score.totals], [bleu.counts, bleu.totals])
    score.precisions.forEach((precision, i) => assert.closeTo(precision, bleu.precisions[i]!, tolerance))
    assert.closeTo(Bleu.corpus(hypotheses.slice(0, 24), references.slice(0, 24), lower).bleu, bleu.corpus_first24, tolerance)
    assert.closeTo(Bleu.corpus(hypotheses.slice(-40), references.slice(-40), lower).bleu, bleu.corpus_last40, tolerance)
  })

  it("have the ROUGE of rouge_score, each pair and the mean", () => {
    for (const { text, tokens } of rouge_tokens) assert.deepStrictEqual(Rouge.tokens(text), tokens)
    for (const pair of pairs) {
      const score = Rouge.pair(pair.hyp, pair.ref)
      for (const name of rougeNames) assert.closeTo(score[name], 100 * pair[name].f, tolerance, pair.hyp)
    }
    const mean = Rouge.corpus(hypotheses, references)
    for (const name of rougeNames) assert.closeTo(mean[name], rouge.means[name], tolerance)
  })

  it("have its entropy, up to its 32 bits, and its mask and perplexity", () => {
    for (const each of entropy) assert.closeTo(Entropy.unigram(each.tokens), each.entropy, 1e-6)
    const weights = ppl.ids.map((ids) => Perplexity.tokenWeights(ids, ppl.eos))
    assert.deepStrictEqual(weights.map((row) => Array.from(row)), ppl.valid)
    const found = Perplexity.perplexity(weights.map((row, i) => Perplexity.surprisal(ppl.nll[i]!, row)))
    assert.closeTo(found / ppl.ppl, 1, 1e-6)
  })
})

describe("hard texts", () => {
  const { corpus, pairs, stems } = read<Fuzzed>("fuzzed.json")
  const hypotheses = pairs.map(({ hypothesis }) => hypothesis)
  const references = pairs.map(({ reference }) => reference)

  it("have the BLEU of sacrebleu in both cases", () => {
    assert.isAbove(pairs.length, 200)
    for (const lowercase of [false, true]) {
      const name = lowercase ? "bleuLowercase" : "bleu"
      for (const pair of pairs) assert.closeTo(Bleu.corpus([pair.hypothesis], [pair.reference], { lowercase }).bleu, pair[name], tolerance, JSON.stringify(pair))
      assert.closeTo(Bleu.corpus(hypotheses, references, { lowercase }).bleu, corpus[name], tolerance)
    }
  })

  it("have the ROUGE of rouge_score", () => {
    for (const pair of pairs) {
      const score = Rouge.pair(pair.hypothesis, pair.reference)
      for (const name of rougeNames) assert.closeTo(score[name], pair[name], tolerance, JSON.stringify(pair))
    }
    const mean = Rouge.corpus(hypotheses, references)
    for (const name of rougeNames) assert.closeTo(mean[name], corpus[name], tolerance)
  })

  it("have the stems of nltk", () => {
    const wrong = Object.entries(stems).filter(([word, stem]) => porterStem(word) !== stem)
    assert.deepStrictEqual(wrong, [])
    assert.isAbove(Object.keys(stems).length, 1000)
  })
})

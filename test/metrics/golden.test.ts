/** Equal to sacrebleu, rouge_score and nltk on the reference's texts, and on texts that are hard on metrics. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { isComparison, judge } from "../../bench/parity/Finding.ts"
import { metricFindings, type RecordedMetrics } from "../../bench/parity/cases/metrics.ts"
import { Bleu, Rouge } from "../../src/metrics/index.ts"
import { porterStem } from "../../src/metrics/porterStem.ts"

const read = <A>(name: string): A => JSON.parse(readFileSync(join(import.meta.dirname, "..", "fixtures", "metrics", name), "utf8")) as A

type RougeName = "rouge1" | "rouge2" | "rougeL"

interface Fuzzed {
  readonly corpus: Readonly<Record<"bleu" | "bleuLowercase" | RougeName, number>>
  readonly pairs: ReadonlyArray<{ readonly hypothesis: string; readonly reference: string } & Readonly<Record<"bleu" | "bleuLowercase" | RougeName, number>>>
  readonly stems: Readonly<Record<string, string>>
}

const tolerance = 1e-9

describe("the reference's texts", () => {
  it("have its BLEU, ROUGE, entropy and perplexity, each pair and the whole", () => {
    const recorded = read<RecordedMetrics>("reference.json")
    assert.strictEqual(recorded.pairs.length, 64)
    const compared = metricFindings(recorded).filter(isComparison)
    assert.strictEqual(compared.length, 18)
    assert.deepStrictEqual(compared.map((each) => ({ array: each.array, ...judge(each) })).filter(({ passed }) => !passed), [])
  })
})

describe("hard texts", () => {
  const { corpus, pairs, stems } = read<Fuzzed>("fuzzed.json")
  const rougeNames: ReadonlyArray<RougeName> = ["rouge1", "rouge2", "rougeL"]
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

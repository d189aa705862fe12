import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { inFolder } from "../io/support.ts"
import { elf } from "./process.ts"

interface Fuzzed {
  readonly corpus: Readonly<Record<string, number>>
  readonly pairs: ReadonlyArray<{ readonly hypothesis: string; readonly reference: string }>
}

const { corpus, pairs } = JSON.parse(readFileSync(join(import.meta.dirname, "..", "fixtures", "metrics", "fuzzed.json"), "utf8")) as Fuzzed

interface Judged {
  readonly texts: ReadonlyArray<string>
  readonly losses: ReadonlyArray<ReadonlyArray<number>>
  readonly masks: { readonly corrected: { readonly weights: ReadonlyArray<ReadonlyArray<number>> } }
}

const gpt2 = join(import.meta.dirname, "..", "fixtures", "gpt2")

const write = (path: string, text: string): string => {
  writeFileSync(path, text)
  return path
}

const score = (hypotheses: string, references: string, ...options: ReadonlyArray<string>) =>
  Effect.promise(() => elf(["score", "--hypotheses", hypotheses, "--references", references, "--json", ...options]))

const result = (stdout: string) => JSON.parse(stdout) as Readonly<Record<string, number>>

describe("elf score", () => {
  it.effect("prints what sacrebleu and rouge_score say, and refuses files that do not fit", () =>
    inFolder(Effect.fnUntraced(function*(folder) {
      const hypotheses = write(join(folder, "hypotheses.txt"), pairs.map(({ hypothesis }) => hypothesis).join("\r\n") + "\r\n")
      const references = write(join(folder, "references.txt"), pairs.map(({ reference }) => reference).join("\n"))
      const [bleu, rouge, entropy, refused] = yield* Effect.all([
        score(hypotheses, references, "--metric", "bleu", "--lowercase"),
        score(hypotheses, references, "--metric", "rouge"),
        score(write(join(folder, "one.txt"), "peace peace peace peace\n\n"), write(join(folder, "two.txt"), "war and peace\n"), "--metric", "entropy"),
        score(hypotheses, join(folder, "two.txt"), "--metric", "bleu")
      ], { concurrency: 2 })
      assert.deepStrictEqual(Object.keys(result(bleu.stdout)), ["bleu"])
      assert.closeTo(result(bleu.stdout)["bleu"]!, corpus["bleuLowercase"]!, 1e-6)
      assert.deepStrictEqual(Object.keys(result(rouge.stdout)), ["rouge1", "rouge2", "rougeL"])
      for (const [name, value] of Object.entries(result(rouge.stdout))) assert.closeTo(value, corpus[name]!, 1e-6)
      const { referenceEntropy, ...own } = result(entropy.stdout)
      assert.deepStrictEqual<object>(own, { entropy: 0, tokens: "T5 pieces", texts: 1 })
      assert.closeTo(referenceEntropy!, Math.log(3), 1e-12)
      assert.strictEqual(refused.code, 1)
      assert.match((JSON.parse(refused.stdout) as { readonly error: { readonly message: string } }).error.message, /has 250 lines, .*two\.txt has 1;/)
    })), 60_000)

  it.effect("judges lines by a GPT-2 as PyTorch does, or by the n-grams of a corpus, and says which", () =>
    inFolder(Effect.fnUntraced(function*(folder) {
      const { losses, masks, texts } = JSON.parse(readFileSync(join(gpt2, "expected.json"), "utf8")) as Judged
      const lines = texts.flatMap((text, i) => text.includes("\n") ? [] : [{ text, losses: losses[i]!, weights: masks.corrected.weights[i]! }])
      const counted = lines.flatMap(({ losses, weights }) => losses.map((loss, i) => [loss * weights[i]!, weights[i]!] as const))
      const expected = Math.exp(counted.reduce((sum, [loss]) => sum + loss, 0) / counted.reduce((sum, [, weight]) => sum + weight, 0))
      const hypotheses = write(join(folder, "texts.txt"), lines.map(({ text }) => text).join("\n"))
      const [seen, unseen] = [write(join(folder, "seen.txt"), "the people of the union\n\n"), write(join(folder, "unseen.txt"), "union the of people the\n")]
      const [neural, counting, refused] = yield* Effect.all([
        score(hypotheses, hypotheses, "--metric", "perplexity", "--scorer", gpt2, "--mask", "corrected"),
        score(seen, unseen, "--metric", "perplexity", "--scorer-corpus", seen, "--order", "2"),
        score(hypotheses, hypotheses, "--metric", "perplexity")
      ], { concurrency: 2 })
      const { entropy: _, perplexity, referencePerplexity, ...about } = JSON.parse(neural.stdout) as Readonly<Record<string, unknown>>
      assert.closeTo(perplexity as number / expected, 1, 1e-6)
      assert.strictEqual(referencePerplexity, perplexity)
      assert.include(about, { mask: "corrected", texts: lines.length })
      assert.include(about["scorer"], { kind: "gpt2", standIn: false })
      assert.include((JSON.parse(counting.stdout) as { readonly scorer: object }).scorer, { kind: "kneserNey", standIn: true })
      assert.isBelow(result(counting.stdout)["perplexity"]!, result(counting.stdout)["referencePerplexity"]!)
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stdout, /--scorer must be a GPT-2/)
    })), 60_000)
})

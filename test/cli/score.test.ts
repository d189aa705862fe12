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
})

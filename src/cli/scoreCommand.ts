/**
 * `elf score`: BLEU, ROUGE, entropy or perplexity of texts that anyone wrote, a line each.
 */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { TextLines } from "../io/index.ts"
import * as Bleu from "../metrics/Bleu.ts"
import * as Entropy from "../metrics/Entropy.ts"
import * as Rouge from "../metrics/Rouge.ts"
import type { Mask } from "../metrics/Perplexity.ts"
import { Backend } from "../model/Backend.ts"
import { Tokenizer } from "../model/Tokenizer.ts"
import * as Evaluation from "../run/evaluation/index.ts"
import { OptionError } from "./errors.ts"
import { json } from "./options.ts"
import { printResult } from "./print.ts"
import { readable } from "./progress.ts"
import { scorerChoice, scorerFlags, scorerLines, type ScorerOptions } from "./scorerOptions.ts"

const fixed = (value: number): string => value.toFixed(2)

/** The reference file, without which some metrics are none. */
const requireReferences = (metric: string, references: Option.Option<string>) =>
  Option.isSome(references)
    ? Effect.succeed(references.value)
    : Effect.fail(new OptionError({ option: "references", expected: `a file, for --metric ${metric}`, received: "nothing" }))

interface ScoreRequest extends ScorerOptions {
  readonly hypotheses: string
  readonly references: Option.Option<string>
  readonly lowercase: boolean
  readonly tokenizer: Option.Option<string>
  readonly mask: Mask
  readonly json: boolean
}

const bleuLines = (lowercase: boolean) => ({ bleu, brevityPenalty, hypothesisLength, precisions, referenceLength }: Bleu.BleuScore): ReadonlyArray<string> => [
  `BLEU ${fixed(bleu)}  precisions ${precisions.map((precision) => precision.toFixed(1)).join("/")}, brevity penalty ${brevityPenalty.toFixed(3)}, ${readable(hypothesisLength)} tokens against ${readable(referenceLength)}`,
  `one reference, ${lowercase ? "lower case" : "mixed case"}, effective order, tokenizer 13a, exponential smoothing`
]

const scoreBleu = Effect.fnUntraced(function*({ hypotheses, json, lowercase, references }: ScoreRequest) {
  const { first, second } = yield* TextLines.readPairs(hypotheses, yield* requireReferences("bleu", references))
  const score = Bleu.corpus(first, second, { lowercase })
  yield* json ? printResult(true, { bleu: score.bleu }, () => []) : printResult(false, score, bleuLines(lowercase))
})

const scoreRouge = Effect.fnUntraced(function*({ hypotheses, json, references }: ScoreRequest) {
  const { first, second } = yield* TextLines.readPairs(hypotheses, yield* requireReferences("rouge", references))
  yield* printResult(json, Rouge.corpus(first, second), ({ rouge1, rouge2, rougeL }) => [
    `ROUGE-1 ${fixed(rouge1)}  ROUGE-2 ${fixed(rouge2)}  ROUGE-L ${fixed(rougeL)}`,
    `mean F1 of ${readable(first.length)} pairs, words stemmed`
  ])
})

/** The lines of a file that hold a text. */
const writtenTexts = Effect.fnUntraced(function*(file: string) {
  const texts = (yield* TextLines.read(file)).filter((text) => text.trim() !== "")
  if (texts.length === 0) return yield* new TextLines.TextLinesError({ file, detail: "it has no text", remedy: "give a file of at least one line that is not empty" })
  return texts
})

/** Entropies of a file's texts; a text without a token has none. */
const entropyOf = Effect.fnUntraced(function*(file: string, lowercase: boolean) {
  const { encodeBatch } = yield* Tokenizer
  const texts = yield* writtenTexts(file)
  return { entropy: Entropy.mean(yield* encodeBatch(texts.map((text) => lowercase ? text.toLowerCase() : text))), texts: texts.length }
})

const scoreEntropy = Effect.fnUntraced(function*({ hypotheses, json, lowercase, references, tokenizer }: ScoreRequest) {
  const tokens = Option.match(tokenizer, { onNone: () => "T5 pieces", onSome: (path) => `tokens of ${path}` })
  const found = yield* entropyOf(hypotheses, lowercase)
  const wanted = Option.isSome(references) ? yield* entropyOf(references.value, lowercase) : undefined
  const result = { entropy: found.entropy, tokens, texts: found.texts, ...(wanted === undefined ? {} : { referenceEntropy: wanted.entropy }) }
  yield* printResult(json, result, () => [
    `unigram entropy ${found.entropy.toFixed(4)} nats over ${tokens}, the mean of ${readable(found.texts)} texts`,
    ...(wanted === undefined ? [] : [`references: ${wanted.entropy.toFixed(4)} nats, the mean of ${readable(wanted.texts)} texts`])
  ])
})

const figuresLine = (label: string, { entropy, perplexity, texts }: Evaluation.GenerativeFigures): string =>
  `${label} ${perplexity?.toFixed(2) ?? "–"}  entropy ${entropy?.toFixed(4) ?? "–"}  ${readable(texts)} texts`

const scorePerplexity = Effect.fnUntraced(function*({ hypotheses, json, mask, references }: ScoreRequest) {
  const [texts, wanted] = [yield* writtenTexts(hypotheses), Option.isSome(references) ? yield* writtenTexts(references.value) : undefined]
  const { judge: _, ...scorer } = yield* Evaluation.Scorer
  const found = yield* Evaluation.scoreTexts(texts, mask)
  const real = wanted === undefined ? undefined : yield* Evaluation.scoreTexts(wanted, mask)
  const { entropy, perplexity } = found
  const result = { perplexity, entropy, texts: found.texts, mask, scorer, ...(real === undefined ? {} : { referencePerplexity: real.perplexity, referenceEntropy: real.entropy }) }
  yield* printResult(json, result, () => [
    figuresLine("perplexity", found),
    ...(real === undefined ? [] : [figuresLine("references:", real)]),
    ...scorerLines(scorer, mask)
  ])
})

const tokenizerLayer = (path: Option.Option<string>) => Option.match(path, { onNone: () => Tokenizer.layer, onSome: (file) => Tokenizer.layerFile(file) })

/** The command. */
export const scoreCommand = Command.make("score", {
  metric: Flag.Literals("metric", ["bleu", "rouge", "entropy", "perplexity"]).pipe(Flag.withDescription("bleu: of the corpus; rouge: ROUGE-1, -2 and -L, the mean over pairs; entropy: of the tokens within a text, in nats, the mean over texts; perplexity: of all tokens under --scorer or --scorer-corpus")),
  hypotheses: Flag.Path("hypotheses").pipe(Flag.withDescription("Texts to judge: UTF-8, one a line")),
  references: Flag.Path("references").pipe(Flag.withDescription("What they should be, line for line; not needed for entropy and perplexity, where they are judged alike"), Flag.optional),
  lowercase: Flag.Boolean("lowercase").pipe(Flag.withDescription("Compare in lower case (bleu, entropy; rouge always does)"), Flag.withDefault(false)),
  tokenizer: Flag.Path("tokenizer").pipe(Flag.withDescription("A tokenizer.json whose tokens are counted (entropy); default: the T5 vocabulary that ships"), Flag.optional),
  ...scorerFlags,
  json
}, Effect.fnUntraced(function*({ metric, ...request }) {
  if (metric === "bleu") return yield* scoreBleu(request)
  if (metric === "rouge") return yield* scoreRouge(request)
  if (metric === "perplexity") {
    const choice = yield* scorerChoice(request, "--metric perplexity")
    return yield* scorePerplexity(request).pipe(Effect.provide(Evaluation.openScorer(choice)), Effect.provide(Backend.layer))
  }
  yield* scoreEntropy(request).pipe(Effect.provide(tokenizerLayer(request.tokenizer)))
})).pipe(Command.withDescription("Score texts against references as sacrebleu and rouge_score do, or by their entropy, or their perplexity under a language model"))

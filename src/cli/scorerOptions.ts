/**
 * The options that name a scorer, of `elf eval` and `elf score`.
 */
import { Effect, Option } from "effect"
import { Flag } from "effect/cli"
import type * as Evaluation from "../run/evaluation/index.ts"
import { OptionError } from "./errors.ts"
import { requireOption } from "./options.ts"

const optional = (name: string, description: string) => Flag.String(name).pipe(Flag.withDescription(description), Flag.optional)
const named = (name: string, fallback: string, description: string) => Flag.String(name).pipe(Flag.withDescription(`${description}; default: ${fallback}`), Flag.withDefault(fallback))

/** Which scorer, and which tokens count. */
export const scorerFlags = {
  scorer: optional("scorer", "GPT-2 that judges the texts: gpt2-large or owner/name of a hub, or a folder; or the n-gram file of an earlier evaluation"),
  scorerRevision: named("scorer-revision", "main", "Branch, tag or commit of a scorer on a hub"),
  scorerCorpus: optional("scorer-corpus", "Where no GPT-2 is at hand: count the n-grams of this corpus (parquet, .jsonl or .txt) and judge by them, with Kneser–Ney smoothing. A stand-in: its figures are not comparable with those of GPT-2"),
  order: Flag.Int("order").pipe(Flag.withDescription("Longest n-gram of --scorer-corpus; default: 4"), Flag.withDefault(4)),
  mask: Flag.Literals("mask", ["reference", "corrected"]).pipe(
    Flag.withDescription("Which tokens count for perplexity. reference: as the published figures, where tokens between a text's first and second EOS count twice; corrected: each once"),
    Flag.withDefault("reference" as const)
  ),
  textColumn: named("text-column", "text", "Column or key of the texts of a corpus")
}

/** What was given. */
export interface ScorerOptions {
  readonly scorer: Option.Option<string>
  readonly scorerRevision: string
  readonly scorerCorpus: Option.Option<string>
  readonly order: number
  readonly textColumn: string
}

/** The scorer that the options name, for what is `wanted`; the n-grams of a corpus are kept in `folder`. */
export const scorerChoice = ({ order, scorer, scorerCorpus, scorerRevision, textColumn }: ScorerOptions, wanted: string, folder?: string): Effect.Effect<Evaluation.ScorerChoice, OptionError> => {
  if (Option.isSome(scorer) && Option.isSome(scorerCorpus)) return Effect.fail(new OptionError({ option: "scorer-corpus", expected: "left out beside --scorer", received: scorerCorpus.value }))
  if (Option.isSome(scorer)) return Effect.succeed({ name: scorer.value, revision: scorerRevision })
  if (Option.isNone(scorerCorpus)) return Effect.fail(new OptionError({ option: "scorer", expected: `a GPT-2 (gpt2-large, or a folder) for ${wanted}, or --scorer-corpus given in its place`, received: "left out" }))
  return Effect.as(requireOption(order >= 1 && order <= 8, "order", "from 1 to 8", order), { corpus: { path: scorerCorpus.value, column: textColumn }, order, ...(folder === undefined ? {} : { folder }) })
}

/** Who judges, and what the figures compare with. */
export const scorerLines = ({ name, standIn, tokens }: Evaluation.ScorerDescription, mask: string): ReadonlyArray<string> => [
  `scorer: ${name}${standIn ? ". A stand-in for GPT-2: compare its perplexities with each other only" : ""}`,
  `perplexity for each of the ${tokens} (${mask} mask), entropy over them in nats, the mean over texts`
]

/**
 * The options of `elf eval` as a request.
 */
import { Effect, Option } from "effect"
import { Argument, Flag } from "effect/cli"
import { basename, join, resolve } from "node:path"
import type * as Evaluation from "../run/evaluation/index.ts"
import type { SamplerChoice } from "../run/sampling.ts"
import { OptionError } from "./errors.ts"
import { given, json, requireOption } from "./options.ts"
import { scorerChoice, scorerFlags } from "./scorerOptions.ts"

const optional = <A>(flag: Flag.Flag<A>, description: string) => flag.pipe(Flag.withDescription(description), Flag.optional)
const list = (name: string, description: string) => optional(Flag.String(name), `${description}; several with commas between them`)
const named = (name: string, fallback: string, description: string) => Flag.String(name).pipe(Flag.withDescription(`${description}; default: ${fallback}`), Flag.withDefault(fallback))

/** What the command takes. */
export const evalFlags = {
  checkpoint: Argument.Path("run").pipe(Argument.withDescription("Checkpoint, or folder of a run (its latest)")),
  task: Flag.Literals("task", ["unconditional", "translation", "summarisation"]).pipe(
    Flag.withDescription("unconditional: texts from noise, their perplexity under a scorer and their entropy; translation: corpus BLEU; summarisation: ROUGE-1, -2 and -L"),
    Flag.withDefault("unconditional" as const)
  ),
  count: optional(Flag.Int("count"), "Texts a point (default: 64), or pairs (default: all)"),
  output: optional(Flag.Path("output"), "Folder for texts, report.json and plot.svg; what is there already is not made again. Default: out/eval/NAME-TASK"),
  batchSize: Flag.Int("batch-size").pipe(Flag.withDescription("Texts at once; changes no result"), Flag.withDefault(16)),
  solver: list("solver", "Sampler, as in elf sample"),
  steps: list("steps", "Time steps from noise to text"),
  gamma: list("gamma", "Strength of the reference's churn (sde)"),
  churn: list("churn", "Strength of Karras churn around any solver but sde; 0 is none"),
  guidance: list("guidance", "Classifier-free guidance on the condition; 1 is none"),
  selfConditionScale: list("self-condition-scale", "Self-conditioning guidance; 1 is none"),
  seed: list("seed", "All random draws are a function of it"),
  timeGrid: optional(Flag.Literals("time-grid", ["logitNormal", "uniform"]), "Where the time steps lie"),
  ...scorerFlags,
  reference: optional(Flag.String("reference"), "Real texts (parquet, .jsonl or .txt) to judge beside the samples: the yardstick"),
  data: optional(Flag.String("data"), "Pairs to answer (translation, summarisation): .jsonl or parquet"),
  inputColumn: named("input-column", "input", "Column or key of the inputs"),
  outputColumn: named("output-column", "output", "Column or key of what they should become"),
  json
}

type Values<F> = { readonly [K in keyof F]: F[K] extends Flag.Flag<infer A> ? A : F[K] extends Argument.Argument<infer A> ? A : never }

/** What was given. */
export type EvalOptions = Values<typeof evalFlags>

const words = (text: string): ReadonlyArray<string> => text.split(",").map((word) => word.trim())

const numbers = (option: string, text: string, isInteger: boolean): Effect.Effect<ReadonlyArray<number>, OptionError> => {
  const values = words(text).map((word) => word === "" ? Number.NaN : Number(word))
  return Effect.as(requireOption(values.every(isInteger ? Number.isSafeInteger : Number.isFinite), option, isInteger ? "whole numbers with commas between them" : "numbers with commas between them", text), values)
}

/** The values of each option that was given. A solver's name is checked with the sampler's other settings. */
const sweepOf = Effect.fnUntraced(function*(options: EvalOptions): Effect.fn.Return<Evaluation.Sweep, OptionError> {
  const listOf = (option: string, value: Option.Option<string>, isInteger = false) =>
    Option.isNone(value) ? Effect.succeed(Option.none<ReadonlyArray<number>>()) : Effect.map(numbers(option, value.value, isInteger), Option.some)
  return {
    ...given("solver", Option.map(options.solver, (text) => words(text) as ReadonlyArray<SamplerChoice["solver"]>)),
    ...given("steps", yield* listOf("steps", options.steps, true)),
    ...given("gamma", yield* listOf("gamma", options.gamma)),
    ...given("churn", yield* listOf("churn", options.churn)),
    ...given("guidanceScale", yield* listOf("guidance", options.guidance)),
    ...given("selfConditionScale", yield* listOf("self-condition-scale", options.selfConditionScale)),
    ...given("seed", yield* listOf("seed", options.seed, true))
  }
})

const missing = (option: string, expected: string) => Effect.fail(new OptionError({ option, expected, received: "left out" }))

const protocolOf = (options: EvalOptions, folder: string): Effect.Effect<Evaluation.Protocol, OptionError> => {
  const { data, inputColumn, mask, outputColumn, reference, task, textColumn } = options
  if (task !== "unconditional") return Option.isNone(data) ? missing("data", `a file of pairs, for --task ${task}`) : Effect.succeed({ task, data: { path: data.value, inputColumn, outputColumn } })
  if (Option.isSome(data)) return Effect.fail(new OptionError({ option: "data", expected: "left out, or --task translation or summarisation given", received: data.value }))
  return Effect.map(scorerChoice(options, "--task unconditional", folder), (scorer) => ({ task, scorer, mask, ...given("reference", Option.map(reference, (path) => ({ path, column: textColumn }))) }))
}

/** The request that the options make. */
export const evalRequest = Effect.fnUntraced(function*(options: EvalOptions): Effect.fn.Return<Evaluation.EvaluationRequest, OptionError> {
  const { batchSize, checkpoint, task } = options
  const output = Option.getOrElse(options.output, () => join("out", "eval", `${basename(resolve(checkpoint))}-${task}`))
  const count = Option.getOrElse(options.count, () => task === "unconditional" ? 64 : Number.MAX_SAFE_INTEGER)
  yield* requireOption(count >= 1, "count", "at least 1", count)
  yield* requireOption(batchSize >= 1, "batch-size", "at least 1", batchSize)
  return { checkpoint, output, count, batchSize, sweep: yield* sweepOf(options), change: given("timeGrid", options.timeGrid), protocol: yield* protocolOf(options, output) }
})

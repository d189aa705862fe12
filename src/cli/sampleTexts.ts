/**
 * `elf sample`: texts from noise or from a template with blanks, and on request the text as it emerges.
 */
import { Effect, Layer, Stream } from "effect"
import { solverOf } from "../flow/Samplers.ts"
import { decode, detokenize, type Texts } from "../streams/decode.ts"
import { generatePlan } from "../streams/generatePlan.ts"
import { fillTemplates, type Infilled, type InfillPlan, writeFromNoise } from "../streams/infill.ts"
import type { Sampled } from "../streams/sample.ts"
import { blank, parse } from "../streams/Template.ts"
import * as Pretrained from "../run/Pretrained.ts"
import { checkedChoice, infillOptions, type SamplerChoice } from "../run/sampling.ts"
import { OptionError } from "./errors.ts"
import { requireOption } from "./options.ts"

/** What to sample, and who watches. */
export interface SampleRequest {
  readonly checkpoint: string
  /** What the command line changes of the checkpoint's own sampler. */
  readonly change: Partial<SamplerChoice>
  /** A text with blanks to fill, as `Template.parse` reads it; absent: all is to be written. */
  readonly template?: string
  /** Is shown the predicted texts after each step of the first batch; makes a decoder pass a step. */
  readonly watch?: (state: Texts) => Effect.Effect<void>
  /** Is told how many texts are written. */
  readonly seen?: (count: number) => Effect.Effect<void>
}

/** Texts, in the order of their keys 0, 1, … */
export interface SampleResult {
  readonly texts: ReadonlyArray<string>
  /** The tokens of each text. */
  readonly tokens: ReadonlyArray<number>
  readonly choice: SamplerChoice
  /** Evaluations of the network that the sampler makes for each text, unless it settles before. */
  readonly evaluations: number
  /** Index of the time step after which each text had settled; −1: it had not. */
  readonly settledAt: ReadonlyArray<number>
}

/** Texts that `elf sample` makes at once. */
const batchSize = 16

const shown = (watch: NonNullable<SampleRequest["watch"]>, plan: InfillPlan) => (state: Sampled) =>
  Stream.make(state).pipe(decode({ ...plan, from: "prediction" }), detokenize, Stream.runForEach(watch))

/** Writes the texts. The encoder is loaded only where something is given for it to read. */
const fill = Effect.fnUntraced(function*({ seen = () => Effect.void, template, watch }: SampleRequest, plan: InfillPlan, count: number, { layer, network, tokenizer }: Pretrained.Pretrained) {
  let done = 0
  const told = (texts: ReadonlyArray<Infilled>) => Effect.suspend(() => seen(done += texts.length))
  const show = watch === undefined ? undefined : shown(watch, plan)
  const keys = Array.from({ length: count }, (_, key) => key)
  if (template === undefined && plan.length === undefined) {
    return yield* writeFromNoise(keys, plan, told, show).pipe(Effect.provide(Layer.merge(network, tokenizer)))
  }
  const row = template === undefined ? Effect.succeed(blank(0)) : parse(template)
  return yield* Effect.flatMap(row, (row) => fillTemplates(keys.map((key) => ({ ...row, key })), 0, plan, told, show)).pipe(Effect.provide(layer))
})

/** Samples `count` texts from a checkpoint. */
export const sampleTexts = Effect.fnUntraced(function*(request: SampleRequest) {
  const pretrained = yield* Pretrained.open(request.checkpoint)
  const { run } = pretrained
  const choice = yield* Effect.mapError(checkedChoice(run, request.change), ({ expected, received }) =>
    new OptionError({ option: "churn", expected: `${expected}; give another --solver, or leave it out`, received }))
  yield* requireOption((choice.length ?? 1) <= run.model.length, "length", `at most ${run.model.length}, the positions of the network`, choice.length)
  const options = infillOptions(run, choice, batchSize)
  const plan = generatePlan({ ...options, ...(request.template !== undefined && choice.length === undefined ? { length: "template" as const } : {}) })
  const filled = yield* fill(request, plan, choice.count, pretrained)
  return {
    texts: filled.map(({ answer }) => answer),
    tokens: filled.map(({ tokens }) => tokens),
    choice,
    evaluations: solverOf(choice).evaluations(choice.steps),
    settledAt: filled.map(({ settledAt }) => settledAt)
  } satisfies SampleResult
})

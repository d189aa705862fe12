/**
 * From noise to the tokens of the last state: what answering prompts and filling templates have in common.
 */
import { Effect, Option, Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { type RandomSource, type Seeded, sourceOf } from "../flow/Random.ts"
import { logitNormal, type TimeStep } from "../flow/TimeGrid.ts"
import type { Backend, BackendError } from "../model/Backend.ts"
import type { Network } from "../model/Network.ts"
import { Tokenizer } from "../model/Tokenizer.ts"
import { decode, type Decoded } from "./decode.ts"
import { sample, type SampleCondition, type Sampled, type SamplerOptions } from "./sample.ts"
import { type Settling, type StableOptions, untilStable } from "./untilStable.ts"

/** How texts are made. */
export interface GenerateOptions extends SamplerOptions {
  /** Time steps of the default grid: logit-normal, drawn by the seed, shared by all rows. Default 32. */
  readonly steps?: number
  /** A grid of your own instead. */
  readonly timeSteps?: ReadonlyArray<TimeStep>
  /** Rows that go through the network at once; changes no text. Default 16. */
  readonly batchSize?: number
  /**
   * Prompts among which those of like length are batched, so that the encoder sees little padding; changes no answer.
   * That many are held back before the first one is answered. Default: `batchSize`.
   */
  readonly window?: number
  /** Stop with a row whose tokens have stayed the same so many times in a row; absent: never. See `untilStable`. */
  readonly stopWhenStable?: number
}

/** {@link GenerateOptions} with the draws and the grid fixed. */
export type GeneratePlan = GenerateOptions & { readonly source: RandomSource; readonly timeSteps: ReadonlyArray<TimeStep> }

/** Fixes the grid and the source of the draws. */
export const generatePlan = <A extends GenerateOptions>(options: A & Seeded): A & GeneratePlan => {
  const source = sourceOf(options)
  const timeSteps = options.timeSteps ?? logitNormal({ steps: options.steps ?? 32, source })
  requireArgument(timeSteps.at(-1)?.last === true, "generate.timeSteps", "a grid that ends with its last step", timeSteps.length)
  return { ...options, source, timeSteps }
}

/** What tells the answer's tokens apart: where it ends, and which it cannot have. */
export type AnswerTokens = Pick<StableOptions, "endOfSequenceId" | "without">

/** Is shown the state after each step. */
export type Watch<E, R> = (state: Sampled) => Effect.Effect<void, E, R>

/**
 * Samples one batch of rows and decodes its last state: `ids` `[B]` rows of S tokens. `settledAt` is there where rows may
 * stop early: decoding keeps what a state has.
 */
export const lastTokens = <E = never, R = never>(
  keys: ReadonlyArray<number>,
  condition: SampleCondition | undefined,
  plan: GeneratePlan,
  answer: AnswerTokens,
  watch?: Watch<E, R>
): Effect.Effect<Decoded & Partial<Pick<Settling, "settledAt">>, BackendError | E, Backend | Network | R> => {
  const options = { ...plan, ...answer, keys, ...(condition === undefined ? {} : { condition }) }
  const { stopWhenStable: window } = plan
  const steps = Stream.fromIterable(plan.timeSteps, { chunkSize: 1 })
  const states: Stream.Stream<Sampled, BackendError, Backend | Network> = steps.pipe(window === undefined ? sample(options) : untilStable({ ...options, window }))
  return (watch === undefined ? states : Stream.tap(states, watch)).pipe(
    Stream.filter(({ step }) => step.last),
    decode(options),
    Stream.runLast,
    Effect.map(Option.getOrThrow)
  )
}

/** What the network writes for one row. */
export interface Written {
  readonly answer: string
  /** Tokens of the answer, padding not counted. */
  readonly tokens: number
}

/** The text of an answer's tokens. */
export const textOf = Effect.fnUntraced(function*(answer: Int32Array) {
  const tokenizer = yield* Tokenizer
  const text = yield* tokenizer.decode(answer)
  return { answer: text, tokens: answer.filter((id) => id !== tokenizer.padId).length } satisfies Written
})

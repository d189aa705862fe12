/**
 * Prompts → answers: the whole of conditional generation as one stage.
 */
import { Effect, Option, Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { type RandomSource, type Seeded, sourceOf } from "../flow/Random.ts"
import { logitNormal, type TimeStep } from "../flow/TimeGrid.ts"
import type { Backend } from "../model/Backend.ts"
import type { EmbedError, Encoder } from "../model/Encoder.ts"
import { Network } from "../model/Network.ts"
import { type TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import { decode, trimAnswer } from "./decode.ts"
import { latentsOf } from "./embed.ts"
import { sample, type SamplerOptions } from "./sample.ts"
import type { LabelledSequence } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"

/** How answers are made. */
export interface GenerateOptions extends SamplerOptions {
  /** Time steps of the default grid: logit-normal, drawn by the seed, shared by all rows. Default 32. */
  readonly steps?: number
  /** A grid of your own instead. */
  readonly timeSteps?: ReadonlyArray<TimeStep>
  /** Prompts that go through the network at once; changes no answer. Default 16. */
  readonly batchSize?: number
}

type Resolved = GenerateOptions & { readonly source: RandomSource; readonly timeSteps: ReadonlyArray<TimeStep> }

const resolve = (options: GenerateOptions & Seeded): Resolved => {
  const source = sourceOf(options)
  const timeSteps = options.timeSteps ?? logitNormal({ steps: options.steps ?? 32, source })
  requireArgument(timeSteps.at(-1)?.last === true, "generate.timeSteps", "a grid that ends with its last step", timeSteps.length)
  return { ...options, source, timeSteps }
}

/** An answer and what it answers. */
export interface Generated {
  /** Position in the stream, from 0: the key of the row's draws. */
  readonly index: number
  readonly prompt: string
  readonly answer: string
  /** Tokens of the answer, padding not counted. */
  readonly tokens: number
}

const conditionRow = (prompt: Int32Array, index: number, length: number, maximum: number, padId: number): LabelledSequence => {
  const condition = prompt.subarray(0, maximum)
  const ids = new Int32Array(length).fill(padId)
  ids.set(condition)
  return { ids, length: condition.length, conditionLength: condition.length, index, labelDropped: false }
}

const conditionMask = (rows: ReadonlyArray<LabelledSequence>, length: number): Float32Array => {
  const mask = new Float32Array(rows.length * length)
  rows.forEach(({ conditionLength }, i) => mask.fill(1, i * length, i * length + conditionLength))
  return mask
}

const lastState = (rows: ReadonlyArray<LabelledSequence>, latents: Float32Array, length: number, options: Resolved) =>
  Stream.fromIterable(options.timeSteps, { chunkSize: 1 }).pipe(
    sample({ ...options, keys: rows.map(({ index }) => index), condition: { latents, mask: conditionMask(rows, length) } }),
    Stream.filter(({ step }) => step.last),
    decode(options),
    Stream.runLast,
    Effect.map(Option.getOrThrow)
  )

const generateBatch = Effect.fnUntraced(function*(prompts: ReadonlyArray<string>, first: number, options: Resolved) {
  const tokenizer = yield* Tokenizer
  const { elf: { config: { length } }, process } = yield* Network
  const maximum = Math.min(options.maximumCondition ?? process.maximumCondition, length - 1)
  const { endOfSequenceId, padId } = tokenizer
  const encoded = yield* tokenizer.encodeBatch(prompts)
  const rows = encoded.map((ids, i) => conditionRow(ids, first + i, length, maximum, padId))
  const { ids } = yield* lastState(rows, yield* latentsOf(rows), length, options)
  const trim = { conditionLengths: rows.map((row) => row.conditionLength), maximumLength: length - maximum, endOfSequenceId, padId }
  return yield* Effect.forEach(prompts, (prompt, i) => {
    const answer = trimAnswer(ids[i]!, i, trim)
    return Effect.map(tokenizer.decode(answer), (text): Generated => ({
      index: first + i,
      prompt,
      answer: text,
      tokens: answer.filter((id) => id !== padId).length
    }))
  })
})

/**
 * Answers each prompt: the prompt's latents are the condition, the rest of the sequence is sampled, and the answer ends
 * before EOS. A row's answer depends on its prompt and its index, not on its batch.
 * @source `generation.py`, `generate_cond`
 */
export const generate = (
  options: GenerateOptions & Seeded
): Stage<string, Generated, EmbedError | TokenizeError, Backend | Encoder | Network | Tokenizer> => {
  const resolved = resolve(options)
  return <E0, R0>(upstream: Stream.Stream<string, E0, R0>) =>
    upstream.pipe(
      Stream.grouped(options.batchSize ?? 16),
      Stream.mapAccumEffect(
        () => 0,
        (first: number, prompts: ReadonlyArray<string>) =>
          Effect.map(generateBatch(prompts, first, resolved), (answers) => [first + prompts.length, answers] as const)
      )
    )
}

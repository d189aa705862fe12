/**
 * Prompts → answers: the whole of conditional generation as one stage.
 */
import { Effect, Option, Stream } from "effect"
import type { RandomSource, Seeded } from "../flow/Random.ts"
import { sourceOf } from "../flow/Random.ts"
import type { TimeStep } from "../flow/TimeGrid.ts"
import type { Backend, BackendError } from "../model/Backend.ts"
import { Encoder } from "../model/Encoder.ts"
import { Network } from "../model/Network.ts"
import { type TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import { decode, trimAnswer } from "./decode.ts"
import { encoderMask } from "./embed.ts"
import { sample, type SampleOptions } from "./sample.ts"
import type { LabelledSequence } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"

/** How answers are made. */
export interface GenerateOptions extends Omit<SampleOptions, "keys" | "condition"> {
  /** The grid that all rows share. */
  readonly timeSteps: ReadonlyArray<TimeStep>
  /** Prompts that go through the network at once; changes no answer. */
  readonly batchSize: number
  /** Longest condition in tokens, below the network's length; what is over it is cut off. */
  readonly maximumCondition: number
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

const embedRows = Effect.fnUntraced(function*(rows: ReadonlyArray<LabelledSequence>, length: number) {
  const encoder = yield* Encoder
  const ids = new Int32Array(rows.length * length)
  rows.forEach((row, i) => ids.set(row.ids, i * length))
  return yield* encoder.embed({ size: rows.length, length, ids, mask: encoderMask(rows, length) })
})

const lastState = (rows: ReadonlyArray<LabelledSequence>, latents: Float32Array, length: number, source: RandomSource, options: GenerateOptions) =>
  Stream.fromIterable(options.timeSteps, { chunkSize: 1 }).pipe(
    sample({ ...options, source, keys: rows.map(({ index }) => index), condition: { latents, mask: conditionMask(rows, length) } }),
    Stream.filter(({ step }) => step.last),
    decode(options),
    Stream.runLast,
    Effect.map(Option.getOrThrow)
  )

const generateBatch = Effect.fnUntraced(function*(prompts: ReadonlyArray<string>, first: number, source: RandomSource, options: GenerateOptions) {
  const tokenizer = yield* Tokenizer
  const { elf: { config: { length } } } = yield* Network
  const { endOfSequenceId, padId } = tokenizer
  const encoded = yield* tokenizer.encodeBatch(prompts)
  const rows = encoded.map((ids, i) => conditionRow(ids, first + i, length, options.maximumCondition, padId))
  const { ids } = yield* lastState(rows, yield* embedRows(rows, length), length, source, options)
  const trim = { conditionLengths: rows.map((row) => row.conditionLength), maximumLength: length - options.maximumCondition, endOfSequenceId, padId }
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
): Stage<string, Generated, BackendError | TokenizeError, Backend | Encoder | Network | Tokenizer> => {
  const source = sourceOf(options)
  return <E0, R0>(upstream: Stream.Stream<string, E0, R0>) =>
    upstream.pipe(
      Stream.grouped(options.batchSize),
      Stream.mapAccumEffect(
        () => 0,
        (first: number, prompts: ReadonlyArray<string>) =>
          Effect.map(generateBatch(prompts, first, source, options), (answers) => [first + prompts.length, answers] as const)
      )
    )
}

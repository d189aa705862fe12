/**
 * Prompts → answers: the whole of conditional generation as one stage.
 */
import { Effect } from "effect"
import { requireArgument } from "../flow/errors.ts"
import type { Seeded } from "../flow/Random.ts"
import type { Backend } from "../model/Backend.ts"
import type { EmbedError, Encoder } from "../model/Encoder.ts"
import { Network } from "../model/Network.ts"
import { type TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import { conditionLatents, encodedPositions } from "./conditionLatents.ts"
import { trimAnswer } from "./decode.ts"
import { type GenerateOptions, type GeneratePlan, generatePlan, lastTokens, textOf, type Written } from "./generatePlan.ts"
import { batchesOf, byLength } from "./lengthBuckets.ts"
import type { Stage } from "./Stage.ts"
import { byWindow } from "./windows.ts"

/** A prompt with a key of its own. */
export interface KeyedPrompt {
  readonly prompt: string
  /** The key of the row's draws: an integer in [0, 2^52). */
  readonly key: number
}

/** An answer and what it answers. */
export interface Generated extends Written {
  /** Position in the stream, from 0. */
  readonly index: number
  /** The key of the row's draws: the prompt's own, or its index. */
  readonly key: number
  readonly prompt: string
  /** Tokens of the prompt that the network saw. */
  readonly promptTokens: number
  /** Positions that the encoder was given for them, padding included. */
  readonly promptPositions: number
}

const conditionMask = (conditions: ReadonlyArray<Int32Array>, length: number): Float32Array => {
  const mask = new Float32Array(conditions.length * length)
  conditions.forEach((ids, i) => mask.fill(1, i * length, i * length + ids.length))
  return mask
}

/** Longest prompt in tokens, and so how many are left for an answer. */
const maximumCondition = (plan: GeneratePlan, { elf, process }: Network["Service"]): number =>
  Math.min(plan.maximumCondition ?? process.maximumCondition, elf.config.length - 1)

const answerBatch = Effect.fnUntraced(function*(conditions: ReadonlyArray<Int32Array>, keys: ReadonlyArray<number>, plan: GeneratePlan) {
  const { endOfSequenceId, padId } = yield* Tokenizer
  const network = yield* Network
  const { length } = network.elf.config
  const latents = yield* conditionLatents(conditions, length, padId)
  const { ids } = yield* lastTokens(keys, { latents, mask: conditionMask(conditions, length) }, plan, { endOfSequenceId })
  const trim = {
    conditionLengths: conditions.map((condition) => condition.length),
    maximumLength: length - maximumCondition(plan, network),
    endOfSequenceId,
    padId
  }
  return yield* Effect.forEach(ids, (row, i) => textOf(trimAnswer(row, i, trim)))
})

/** The beginning of each prompt that the network sees, as ids of its own: a view would keep the whole prompt alive. */
const conditionsOf = Effect.fnUntraced(function*(prompts: ReadonlyArray<string>, plan: GeneratePlan) {
  const tokenizer = yield* Tokenizer
  const maximum = maximumCondition(plan, yield* Network)
  return (yield* tokenizer.encodeBatch(prompts)).map((ids) => ids.slice(0, maximum))
})

/**
 * Answers a window of prompts, in order: those of like length go through the network together. `first` is the index of
 * the first one; `seen` is told of each batch.
 */
export const answerWindow = Effect.fnUntraced(function*(
  prompts: ReadonlyArray<KeyedPrompt>,
  first: number,
  plan: GeneratePlan,
  seen: (answers: ReadonlyArray<Generated>) => Effect.Effect<void> = () => Effect.void
) {
  const { length } = (yield* Network).elf.config
  const conditions = yield* conditionsOf(prompts.map(({ prompt }) => prompt), plan)
  const answers: Array<Generated> = Array.from({ length: prompts.length })
  for (const positions of batchesOf(byLength(conditions.map((ids) => ids.length)), plan.batchSize ?? 16)) {
    const written = yield* answerBatch(positions.map((i) => conditions[i]!), positions.map((i) => prompts[i]!.key), plan)
    positions.forEach((position, i) => {
      const promptTokens = conditions[position]!.length
      answers[position] = {
        index: first + position,
        ...prompts[position]!,
        ...written[i]!,
        promptTokens,
        promptPositions: encodedPositions(promptTokens, length)
      }
    })
    yield* seen(positions.map((position) => answers[position]!))
  }
  return answers
})

const keyed = (row: string | KeyedPrompt, index: number): KeyedPrompt => typeof row === "string" ? { prompt: row, key: index } : row

/**
 * Answers each prompt: the prompt's latents are the condition, the rest of the sequence is sampled, and the answer ends
 * before EOS. A row's answer depends on its prompt and its key (for a bare text its index), not on its batch.
 * @source `generation.py`, `generate_cond`
 */
export const generate = (
  options: GenerateOptions & Seeded
): Stage<string | KeyedPrompt, Generated, EmbedError | TokenizeError, Backend | Encoder | Network | Tokenizer> => {
  const plan = generatePlan(options)
  const { batchSize = 16, window = batchSize } = options
  requireArgument(Number.isSafeInteger(batchSize) && batchSize >= 1, "generate.batchSize", "an integer ≥ 1", batchSize)
  requireArgument(Number.isSafeInteger(window) && window >= 1, "generate.window", "an integer ≥ 1", window)
  return byWindow(window, (rows: ReadonlyArray<string | KeyedPrompt>, first) => answerWindow(rows.map((row, i) => keyed(row, first + i)), first, plan))
}

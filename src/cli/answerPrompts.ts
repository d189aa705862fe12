/**
 * `elf sample --prompt`: a few answers on the command line. For many, `elf infer` reads and writes parquet.
 */
import { Effect, Stream } from "effect"
import * as Pretrained from "../run/Pretrained.ts"
import { generateOptions, samplerChoice, type SamplerChoice } from "../run/sampling.ts"
import { type Generated, generate } from "../streams/generate.ts"

/** Which prompts to answer, and how often each. */
export interface AnswerRequest {
  readonly checkpoint: string
  /** What the command line changes of the checkpoint's own sampler. */
  readonly change: Partial<SamplerChoice>
  readonly prompts: ReadonlyArray<string>
  /** Answers to each prompt, ≥ 1, by draws of their own. */
  readonly count: number
}

/** The answers, prompt by prompt. */
export interface AnswerResult {
  readonly answers: ReadonlyArray<Pick<Generated, "prompt" | "answer" | "tokens">>
  readonly choice: Omit<SamplerChoice, "count">
}

const batchSize = 16

/** Answers each prompt `count` times. */
export const answerPrompts = Effect.fnUntraced(function*({ change, checkpoint, count, prompts }: AnswerRequest) {
  const { layer, run } = yield* Pretrained.open(checkpoint)
  const choice = samplerChoice(run, change)
  const asked = prompts.flatMap((prompt, i) => Array.from({ length: count }, (_, j) => ({ prompt, key: i * count + j })))
  const generated = yield* Stream.fromIterable(asked).pipe(generate(generateOptions(run, choice, batchSize)), Stream.runCollect, Effect.provide(layer))
  const { count: _, ...sampler } = choice
  return { answers: generated.map(({ answer, prompt, tokens }) => ({ prompt, answer, tokens })), choice: sampler } satisfies AnswerResult
})

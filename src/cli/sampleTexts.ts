/**
 * `elf sample`: texts from noise, and on request the text as it emerges.
 */
import { Effect, Layer, Option, Stream } from "effect"
import type { RunConfig } from "../io/index.ts"
import * as Pretrained from "../run/Pretrained.ts"
import { samplerChoice, samplerOptions, type SamplerChoice, timeSteps } from "../run/sampling.ts"
import { decode, detokenize, type Texts } from "../streams/decode.ts"
import { sample } from "../streams/sample.ts"

/** What to sample, and who watches. */
export interface SampleRequest {
  readonly checkpoint: string
  /** What the command line changes of the checkpoint's own sampler. */
  readonly change: Partial<SamplerChoice>
  /** Is shown the predicted texts after each step; makes a decoder pass a step. */
  readonly watch?: (state: Texts) => Effect.Effect<void>
}

/** Texts, in the order of their keys 0, 1, … */
export interface SampleResult {
  readonly texts: ReadonlyArray<string>
  readonly choice: SamplerChoice
}

const follow = (run: RunConfig.RunConfig, choice: SamplerChoice, watch: SampleRequest["watch"]) => {
  const options = samplerOptions(choice)
  const states = Stream.fromIterable(timeSteps(run, choice), { chunkSize: 1 }).pipe(
    sample({ ...options, seed: choice.seed, keys: Array.from({ length: choice.count }, (_, key) => key) })
  )
  const watched = watch === undefined ? states : states.pipe(
    Stream.tap((state) => Stream.make(state).pipe(decode({ ...options, from: "prediction" }), detokenize, Stream.runForEach(watch)))
  )
  return watched.pipe(
    Stream.filter(({ step }) => step.last),
    decode(options),
    detokenize,
    Stream.runLast,
    Effect.map(Option.getOrThrow)
  )
}

/** Samples `count` texts from a checkpoint. */
export const sampleTexts = Effect.fnUntraced(function*({ change, checkpoint, watch }: SampleRequest) {
  const { network, run, tokenizer } = yield* Pretrained.open(checkpoint)
  const choice = samplerChoice(run, change)
  const { texts } = yield* follow(run, choice, watch).pipe(Effect.provide(Layer.merge(network, tokenizer)))
  return { texts, choice } satisfies SampleResult
})

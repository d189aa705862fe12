/**
 * The texts of a point: those that its file holds already, and those that the network still has to write.
 *
 * A row's text depends on its key alone, so a file that was begun goes on where it stopped, and a larger count adds to it.
 *
 * @since 0.1.0
 */
import { Effect, Option, Stream } from "effect"
import { join } from "node:path"
import type { DiskError } from "../../io/Disk.ts"
import type { RunConfig } from "../../io/index.ts"
import * as JsonLines from "../../io/JsonLines.ts"
import type { Backend, BackendError } from "../../model/Backend.ts"
import type { EmbedError, Encoder } from "../../model/Encoder.ts"
import type { Network } from "../../model/Network.ts"
import { type TokenizeError, Tokenizer } from "../../model/Tokenizer.ts"
import { decode, trimAnswer } from "../../streams/decode.ts"
import { generate } from "../../streams/generate.ts"
import { batchesOf } from "../../streams/lengthBuckets.ts"
import { sample } from "../../streams/sample.ts"
import { generateOptions, samplerOptions, timeSteps } from "../sampling.ts"
import type { TextPair } from "./data.ts"
import type { Point } from "./points.ts"

/** What texts are written from. */
export interface WriteRequest {
  readonly run: RunConfig.RunConfig
  readonly point: Point
  readonly folder: string
  /** The inputs to answer; absent: texts from noise. */
  readonly pairs: ReadonlyArray<TextPair> | undefined
  readonly count: number
  readonly batchSize: number
  /** Is told how many texts more are there. */
  readonly seen: (texts: number) => Effect.Effect<void>
}

/** The text of one row from noise: it ends before its first EOS. */
const textOf = Effect.fnUntraced(function*(ids: Int32Array) {
  const { decode, endOfSequenceId, padId } = yield* Tokenizer
  return yield* decode(trimAnswer(ids, 0, { endOfSequenceId, padId }))
})

/** A text and the key of its draws. */
interface KeyedText {
  readonly key: number
  readonly text: string
}

/** Writes the texts of keys, in order. */
export type TextSource<E, R> = (request: WriteRequest, keys: ReadonlyArray<number>) => Stream.Stream<KeyedText, E, R>

const noiseBatch = Effect.fnUntraced(function*({ point: { choice }, run }: WriteRequest, keys: ReadonlyArray<number>) {
  const options = samplerOptions(choice)
  const { ids } = yield* Stream.fromIterable(timeSteps(run, choice), { chunkSize: 1 }).pipe(
    sample({ ...options, seed: choice.seed, keys }),
    Stream.filter(({ step }) => step.last),
    decode(options),
    Stream.runLast,
    Effect.map(Option.getOrThrow)
  )
  return yield* Effect.forEach(ids, (row, i) => Effect.map(textOf(row), (text): KeyedText => ({ key: keys[i]!, text })))
})

/** Texts from noise. @source ELF `src/generation.py`, `test_generation_uncond` */
export const fromNoise: TextSource<BackendError | TokenizeError, Backend | Network | Tokenizer> = (request, keys) =>
  Stream.fromIterable(batchesOf(keys, request.batchSize), { chunkSize: 1 }).pipe(Stream.mapEffect((batch) => noiseBatch(request, batch)), Stream.flatMap(Stream.fromIterable))

/** Answers to the inputs. @source ELF `src/generation.py`, `test_generation_cond` */
export const answers: TextSource<EmbedError | TokenizeError, Backend | Encoder | Network | Tokenizer> = ({ batchSize, pairs, point, run }, keys) =>
  Stream.fromIterable(keys.map((key) => ({ key, prompt: pairs![key]!.input }))).pipe(
    generate({ ...generateOptions(run, point.choice, batchSize), window: 8 * batchSize }),
    Stream.map(({ answer, key }) => ({ key, text: answer }))
  )

/** Lines of the file that are texts of keys, up to `count`; the first gap ends them. */
const known = (objects: ReadonlyArray<JsonLines.JsonObject>): ReadonlyArray<string> => {
  const wrong = objects.findIndex(({ key, text }, index) => key !== index || typeof text !== "string")
  return (wrong === -1 ? objects : objects.slice(0, wrong)).map(({ text }) => text as string)
}

/** The file of a point's texts, one a line: `{"key", "text"}`, with `input` and `reference` where there are. */
export const textsFile = (folder: string, { name }: Point): string => join(folder, "texts", `${name}.jsonl`)

/** How many texts of a point are there. */
export const writtenTexts = (folder: string, point: Point): Effect.Effect<number, DiskError> =>
  Effect.map(JsonLines.peek(textsFile(folder, point)), (objects) => known(objects).length)

/** All texts of a point, by key: the file's, then those of `source`. */
export const writeTexts = <E, R>(source: TextSource<E, R>, request: WriteRequest) =>
  Effect.scoped(Effect.gen(function*() {
    const { count, folder, pairs, point, seen } = request
    const file = yield* JsonLines.open(textsFile(folder, point))
    const texts = [...known(file.objects).slice(0, count)]
    const missing = Array.from({ length: count - texts.length }, (_, i) => texts.length + i)
    const line = ({ key, text }: KeyedText): JsonLines.JsonObject => pairs === undefined ? { key, text } : { key, text, input: pairs[key]!.input, reference: pairs[key]!.output }
    yield* source(request, missing).pipe(Stream.runForEachArray((written) =>
      Effect.andThen(file.append(written.map(line)), Effect.suspend(() => {
        texts.push(...written.map(({ text }) => text))
        return seen(written.length)
      }))))
    return texts
  }))

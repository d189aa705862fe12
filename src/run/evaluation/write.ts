/**
 * The texts of a point: those that its file holds already, and those that the network still has to write.
 *
 * A row's text depends on its key alone, so a file that was begun goes on where it stopped, and a larger count adds to it.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { join } from "node:path"
import type { DiskError } from "../../io/Disk.ts"
import type { RunConfig } from "../../io/index.ts"
import * as JsonLines from "../../io/JsonLines.ts"
import type { Backend, BackendError } from "../../model/Backend.ts"
import type { EmbedError, Encoder } from "../../model/Encoder.ts"
import type { Network } from "../../model/Network.ts"
import type { TokenizeError, Tokenizer } from "../../model/Tokenizer.ts"
import { generate } from "../../streams/generate.ts"
import { generatePlan } from "../../streams/generatePlan.ts"
import { infill, type Infilled, writeFromNoise } from "../../streams/infill.ts"
import { batchesOf } from "../../streams/lengthBuckets.ts"
import { blank, type TemplateError } from "../../streams/Template.ts"
import { generateOptions, infillOptions } from "../sampling.ts"
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

/** A text and the key of its draws. */
interface KeyedText {
  readonly key: number
  readonly text: string
}

/** Writes the texts of keys, in order. */
export type TextSource<E, R> = (request: WriteRequest, keys: ReadonlyArray<number>) => Stream.Stream<KeyedText, E, R>

const textOf = ({ answer, key }: Infilled): KeyedText => ({ key, text: answer })

/** Texts from noise; needs no encoder. @source ELF `src/generation.py`, `test_generation_uncond` */
export const fromNoise: TextSource<TokenizeError | TemplateError | BackendError, Backend | Network | Tokenizer> = ({ batchSize, point, run }, keys) => {
  const plan = generatePlan(infillOptions(run, point.choice, batchSize))
  return Stream.fromIterable(batchesOf(keys, batchSize), { chunkSize: 1 }).pipe(
    Stream.mapEffect((batch) => writeFromNoise(batch, plan)),
    Stream.flatMap((texts) => Stream.fromIterable(texts.map(textOf)))
  )
}

/** Texts of the length that the sampler's section asks for: the encoder reads the EOS behind them. */
export const ofLength: TextSource<EmbedError | TokenizeError | TemplateError, Backend | Encoder | Network | Tokenizer> = ({ batchSize, point, run }, keys) =>
  Stream.fromIterable(keys.map((key) => ({ ...blank(0), key }))).pipe(infill(infillOptions(run, point.choice, batchSize)), Stream.map(textOf))

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

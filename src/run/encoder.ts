/**
 * The frozen encoder of a run, and the vocabulary that belongs to it.
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import { join } from "node:path"
import { type Hub, type RunConfig, type Safetensors, T5Folder } from "../io/index.ts"
import { parseJson, readSmallText } from "../io/smallText.ts"
import { howToConvert, readIndex, weightFiles } from "../io/t5Tensors.ts"
import { specialTokens } from "../io/tokenizerFile.ts"
import type { TorchFileError } from "../io/torch/TorchFileError.ts"
import type { Backend, BackendError } from "../model/Backend.ts"
import { Encoder, type LatentNormalization } from "../model/Encoder.ts"
import * as OnnxEncoder from "../model/OnnxEncoder.ts"
import { type TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import { EncoderError, type EncoderPlace, encoderPlace } from "./encoderPlace.ts"

type Run = RunConfig.RunConfig

/** What keeps a run's encoder from being loaded. */
export type LoadEncoderError =
  | EncoderError
  | Hub.HubError
  | T5Folder.T5FolderError
  | Safetensors.SafetensorsError
  | TorchFileError
  | OnnxEncoder.OnnxEncoderError
  | BackendError

/** What keeps its vocabulary from being loaded. */
export type LoadTokenizerError = EncoderError | Hub.HubError | TokenizeError

const misfit = (encoder: string) => (detail: string, remedy: string) => new EncoderError({ encoder, detail, remedy })

/** A network expects latents of one width, and chooses from tokens that the encoder must know. */
const checkSizes = (run: Run, place: EncoderPlace, width: number, vocabulary: number): Effect.Effect<void, EncoderError> => {
  const fail = misfit(place.name)
  if (width !== run.model.textWidth) return Effect.fail(fail(`its latents are ${width} wide, model.textWidth is ${run.model.textWidth}`, `Set model.textWidth to ${width}`))
  return vocabulary < run.model.vocabulary
    ? Effect.fail(fail(`it knows ${vocabulary} tokens, model.vocabulary is ${run.model.vocabulary}`, `Set model.vocabulary to at most ${vocabulary}`))
    : Effect.void
}

const normalizationOf = ({ encoder }: Run): LatentNormalization => ({ mean: encoder.latentMean, standardDeviation: encoder.latentStandardDeviation })

/** Fetches the weights in the first of the forms that a repository may have; whether it has any. */
export const fetchWeights = Effect.fnUntraced(function*({ file, folder }: EncoderPlace) {
  if ((yield* file(weightFiles.single)) !== undefined) return true
  if ((yield* file(weightFiles.index)) !== undefined) {
    yield* Effect.forEach(new Set((yield* readIndex(folder)).values()), (shard) => file(shard), { discard: true })
    return true
  }
  return (yield* file(weightFiles.torch)) !== undefined
})

const layerT5 = Effect.fnUntraced(function*(run: Run, place: EncoderPlace) {
  if (!(yield* fetchWeights(place))) return yield* misfit(place.name)(`it has no ${weightFiles.single}`, howToConvert(place.name.split(" ")[0]!))
  const weights = yield* T5Folder.load(place.folder)
  yield* checkSizes(run, place, weights.config.d_model, weights.config.vocab_size)
  return Encoder.layerT5(weights, normalizationOf(run))
})

const fetchOnnx = Effect.fnUntraced(function*({ file, name }: EncoderPlace, onnx: string) {
  if ((yield* file(onnx)) === undefined) return yield* misfit(name)(`it has no ${onnx}`, "Export it to ONNX (optimum-cli export onnx --task feature-extraction), or name its file with encoder.file")
  // Weights beyond 2 GB lie in a file beside the graph.
  yield* file(`${onnx}_data`)
})

const layerOnnx = Effect.fnUntraced(function*(run: Run, place: EncoderPlace) {
  const { file = "onnx/model.onnx" } = run.encoder
  yield* fetchOnnx(place, file)
  const layer = OnnxEncoder.layer({ folder: place.folder, file }, normalizationOf(run))
  return Layer.tap(layer, (context) => Effect.flatMap(Effect.provideContext(Encoder, context), ({ vocabulary, width }) => checkSizes(run, place, width, vocabulary)))
})

/** The frozen encoder of a run: fetched where it is not there yet, loaded, and on the device as long as the layer lives. */
export const encoderLayer = (run: Run): Layer.Layer<Encoder, LoadEncoderError, Backend> =>
  Layer.unwrap(Effect.gen(function*(): Effect.fn.Return<Layer.Layer<Encoder, LoadEncoderError, Backend>, LoadEncoderError> {
    const place = yield* encoderPlace(run.encoder)
    return run.encoder.kind === "onnx" ? yield* layerOnnx(run, place) : yield* layerT5(run, place)
  }))

/** Tokens of T5's own vocabulary, and rows of the embeddings of the published T5 encoders, which are rounded up. */
const shippedVocabulary = { tokens: 32_100, rows: 32_128 } as const

const isShippedSize = (vocabulary: number): boolean => vocabulary >= shippedVocabulary.tokens && vocabulary <= shippedVocabulary.rows

const readVocabularySize = ({ folder, name }: EncoderPlace): Effect.Effect<number, EncoderError> =>
  Effect.tryPromise({
    try: async () => {
      const { vocab_size } = parseJson(await readSmallText(join(folder, "config.json"))) as { readonly vocab_size?: unknown }
      if (!Number.isSafeInteger(vocab_size)) throw new Error("it has no vocab_size")
      return vocab_size as number
    },
    catch: (cause) => misfit(name)(`config.json cannot be read (${cause instanceof Error ? cause.message : String(cause)})`, "Give a folder with the config.json of an encoder")
  })

/** Repositories whose vocabulary is the one that ships: for them its absence from a cache is no reason to fail. */
const isPublishedT5 = (name: string): boolean => /^(google-t5\/)?t5-(small|base|large|3b|11b)\b|^google\/(t5-v1_1|flan-t5)-/.test(name)

const ownVocabulary = (place: EncoderPlace): Effect.Effect<string | undefined, Hub.HubError> =>
  Effect.catchIf(place.file("tokenizer.json"), ({ reason }) => isPublishedT5(place.name) && (reason === "offline" || reason === "network"), () => Effect.succeed(undefined))

const tokenizerOf = Effect.fnUntraced(function*(place: EncoderPlace, vocabulary: number) {
  const path = yield* ownVocabulary(place)
  if (path !== undefined) {
    const settings = yield* Effect.orElseSucceed(place.file("tokenizer_config.json"), () => undefined)
    const tokens = specialTokens(settings).pipe(Effect.mapError((why) => misfit(place.name)(`tokenizer_config.json cannot be read (${why})`, "Fetch or write the folder again")))
    return Tokenizer.layerFile(path, yield* tokens)
  }
  if (isShippedSize(vocabulary)) return Tokenizer.layer
  return yield* misfit(place.name)(`it has no tokenizer.json, and its ${vocabulary} tokens are not T5's`, "Put the tokenizer.json of its vocabulary beside config.json")
})

/** Every token must have a place in the network, and the network must not choose a token that the encoder lacks. */
const checkVocabulary = (run: Run, place: EncoderPlace, tokens: number, vocabulary: number): Effect.Effect<void, EncoderError> => {
  const fail = misfit(place.name)
  const chosen = run.model.vocabulary
  if (tokens > vocabulary) return Effect.fail(fail(`its tokenizer.json has ${tokens} tokens, its config.json says ${vocabulary}`, "Put tokenizer.json and weights of one model together"))
  if (tokens > chosen) return Effect.fail(fail(`its vocabulary has ${tokens} tokens, model.vocabulary is ${chosen}`, `Set model.vocabulary to ${tokens}`))
  return chosen > vocabulary ? Effect.fail(fail(`it knows ${vocabulary} tokens, model.vocabulary is ${chosen}`, `Set model.vocabulary to ${tokens}`)) : Effect.void
}

/** The vocabulary of a run's encoder: its `tokenizer.json`; T5's, which ships, where it has none and is of T5's size. */
export const tokenizerLayer = (run: Run): Layer.Layer<Tokenizer, LoadTokenizerError> =>
  Layer.unwrap(Effect.gen(function*() {
    const place = yield* encoderPlace(run.encoder)
    const vocabulary = yield* readVocabularySize(place)
    const layer = yield* tokenizerOf(place, vocabulary)
    return Layer.tap(layer, (context) =>
      Effect.flatMap(Effect.provideContext(Tokenizer, context), ({ vocabularySize }) => checkVocabulary(run, place, vocabularySize, vocabulary)))
  }))

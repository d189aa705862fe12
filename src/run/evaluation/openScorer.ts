/**
 * Scorers by what the user calls them: a GPT-2 in a folder or on a hub, an n-gram file, or a corpus to count.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Stream } from "effect"
import { existsSync, statSync } from "node:fs"
import { stat } from "node:fs/promises"
import { basename, join } from "node:path"
import { attempt, type DiskError } from "../../io/Disk.ts"
import { Gpt2Folder, Hub, type Safetensors } from "../../io/index.ts"
import { weightFiles } from "../../io/t5Tensors.ts"
import * as KneserNey from "../../metrics/KneserNey.ts"
import type { Backend, BackendError } from "../../model/Backend.ts"
import { LanguageModel } from "../../model/LanguageModel.ts"
import { type TokenizeError, Tokenizer } from "../../model/Tokenizer.ts"
import { tokenize } from "../../streams/tokenize.ts"
import { fetchWeights } from "../encoder.ts"
import { type EncoderPlace, folderPlace, hubPlace } from "../encoderPlace.ts"
import { corpusIdentity, type CorpusPlace, digest, documents, type ReadTextsError } from "./data.ts"
import { EvaluationError } from "./EvaluationError.ts"
import { readNgrams, type StoredNgrams, writeNgrams } from "./ngramFile.ts"
import { makeScorer, Scorer } from "./Scorer.ts"

/** What keeps a scorer from being opened. */
export type OpenScorerError = BackendError | DiskError | EvaluationError | Gpt2Folder.LoadGpt2Error | Hub.HubError | ReadTextsError | Safetensors.SafetensorsError | TokenizeError

/** A scorer by name, or a corpus whose n-grams are counted once and kept in `folder`; without one they are counted each time. */
export type ScorerChoice =
  | { readonly name: string; readonly revision?: string }
  | { readonly corpus: CorpusPlace; readonly order: number; readonly folder?: string }

/** The hub's names of the four sizes, which used to be without an owner. */
const gpt2Sizes = ["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"]

const refused = (where: string, detail: string, remedy: string) => new EvaluationError({ reason: "scorer", where, detail, remedy })

const whatToGive = "give gpt2-large or another GPT-2 of the hub, the folder of one, or the n-gram file of an earlier evaluation"

const gpt2Place = (name: string, revision: string): Effect.Effect<EncoderPlace, EvaluationError | Hub.HubError> => {
  if (existsSync(name)) return Effect.succeed(folderPlace(name))
  if (!gpt2Sizes.includes(name) && name.split("/").length !== 2) return Effect.fail(refused(name, "there is no such folder or file, and it is no name on a hub", whatToGive))
  const repositories: readonly [string, ...Array<string>] = gpt2Sizes.includes(name) ? [`openai-community/${name}`, name] : [name]
  // The hub's own remedy speaks of encoders.
  return Effect.mapError(hubPlace(repositories, revision), (error) =>
    error.reason === "offline" || error.reason === "notFound" ? new Hub.HubError({ ...error, remedy: "Give the folder of a GPT-2 as --scorer, or count a corpus with --scorer-corpus" }) : error)
}

/** GPT-2's only special token: it ends texts and pads them. */
const endOfText = "<|endoftext|>"

const gpt2Tokenizer = (place: EncoderPlace) =>
  Effect.gen(function*() {
    const path = yield* place.file("tokenizer.json")
    if (path !== undefined) return Tokenizer.layerFile(path, { endOfSequence: endOfText, pad: endOfText })
    const [vocabulary, merges] = [yield* place.file("vocab.json"), yield* place.file("merges.txt")]
    if (vocabulary !== undefined && merges !== undefined) return Tokenizer.layerBytePairs(vocabulary, merges, endOfText)
    return yield* refused(place.name, "it has no tokenizer.json", "put it, or vocab.json and merges.txt, beside config.json")
  })

/** Weights are too large to be hashed each time: size and date tell them apart. */
const weightsIdentity = ({ folder, name }: EncoderPlace): Effect.Effect<string, DiskError> => {
  const file = Object.values(weightFiles).map((each) => join(folder, each)).find((each) => existsSync(each)) ?? folder
  return Effect.map(attempt("look at", file, () => stat(file)), ({ mtimeMs, size }) => digest([name, size, mtimeMs]))
}

type ScorerLayer = Layer.Layer<Scorer, OpenScorerError, Backend>

const layerGpt2 = (place: EncoderPlace, identity: string, vocabulary: Layer.Layer<Tokenizer, TokenizeError>): ScorerLayer => {
  const model = Layer.unwrap(Effect.map(Gpt2Folder.load(place.folder), LanguageModel.layerGpt2))
  const scorer = Effect.gen(function*() {
    const [model, tokenizer] = [yield* LanguageModel, yield* Tokenizer]
    return makeScorer({ description: { kind: "gpt2", name: place.name, standIn: false, tokens: "tokens of GPT-2", identity }, model, tokenizer })
  })
  return Layer.effect(Scorer, scorer).pipe(Layer.provide(Layer.merge(model, vocabulary)))
}

const findGpt2 = (name: string, revision: string): Effect.Effect<ScorerLayer, OpenScorerError> =>
  Effect.gen(function*() {
    const place = yield* gpt2Place(name, revision)
    const fetched = Effect.catchTag(fetchWeights(place), "T5FolderError", ({ detail }) => Effect.fail(refused(place.name, detail, whatToGive)))
    if (!(yield* fetched)) return yield* refused(place.name, `it has no ${weightFiles.single}`, whatToGive)
    const { vocab_size } = yield* Gpt2Folder.check(place.folder)
    const vocabulary = yield* gpt2Tokenizer(place)
    const { vocabularySize } = yield* Effect.provide(Tokenizer, vocabulary)
    if (vocabularySize > vocab_size) return yield* refused(place.name, `its tokenizer has ${vocabularySize} tokens, its weights ${vocab_size}`, "put tokenizer and weights of one model together")
    return layerGpt2(place, yield* weightsIdentity(place), vocabulary)
  })

const layerKneserNey = ({ counts, origin }: StoredNgrams): Layer.Layer<Scorer, TokenizeError> => {
  const { losses, order } = KneserNey.model(counts)
  const name = `Kneser–Ney ${order}-grams of ${origin.corpus} (${origin.tokens.toLocaleString("en-US")} tokens)`
  const description = { kind: "kneserNey", name, standIn: true, tokens: "T5 pieces", identity: digest([origin.identity, order]) } as const
  const model = { context: Infinity, losses: (rows: ReadonlyArray<Int32Array>) => Effect.sync(() => rows.map((row) => Float32Array.from(losses(row)))) }
  return Layer.effect(Scorer, Effect.map(Tokenizer, (tokenizer) => makeScorer({ description, model, tokenizer }))).pipe(Layer.provide(Tokenizer.layer))
}

/** All tokens of a corpus, each document ended by EOS, as packed rows have them. `seen` is told how many there are. */
const corpusTokens = Effect.fnUntraced(function*(corpus: CorpusPlace, seen: (tokens: number) => Effect.Effect<void>) {
  const { endOfSequenceId } = yield* Tokenizer
  const parts: Array<Int32Array> = []
  let length = 0
  yield* documents(corpus).pipe(
    tokenize,
    Stream.runForEach((ids) => {
      parts.push(ids, Int32Array.of(endOfSequenceId))
      length += ids.length + 1
      return seen(length)
    })
  )
  const tokens = new Int32Array(length)
  let offset = 0
  for (const part of parts) {
    tokens.set(part, offset)
    offset += part.length
  }
  return tokens
})

const countCorpus = Effect.fnUntraced(function*({ corpus, order }: Extract<ScorerChoice, { readonly corpus: CorpusPlace }>, identity: string, seen: (tokens: number) => Effect.Effect<void>) {
  const { vocabularySize } = yield* Tokenizer
  const tokens = yield* corpusTokens(corpus, seen)
  if (tokens.length === 0) return yield* refused(corpus.path, "it has no document", "give a corpus of at least one")
  const counts = KneserNey.count(tokens, { order, vocabulary: vocabularySize })
  return { counts, origin: { corpus: basename(corpus.path), identity, tokens: tokens.length } } satisfies StoredNgrams
})

const findCorpus = (choice: Extract<ScorerChoice, { readonly corpus: CorpusPlace }>, seen: (tokens: number) => Effect.Effect<void>): Effect.Effect<Layer.Layer<Scorer, OpenScorerError>, OpenScorerError> =>
  Effect.gen(function*() {
    const identity = yield* corpusIdentity(choice.corpus)
    const file = choice.folder === undefined ? undefined : join(choice.folder, `scorer-${digest([identity, choice.order]).slice(0, 8)}.safetensors`)
    if (file !== undefined && existsSync(file)) return layerKneserNey(yield* readNgrams(file))
    const stored = yield* Effect.provide(countCorpus(choice, identity, seen), Tokenizer.layer)
    if (file !== undefined) yield* writeNgrams(file, stored)
    return layerKneserNey(stored)
  })

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false

/**
 * Finds a scorer, fetches it, counts its corpus: all that can fail without the device. The layer loads it. `seen` is told
 * how many tokens of a corpus have been read.
 */
export const findScorer = (choice: ScorerChoice, seen: (tokens: number) => Effect.Effect<void> = () => Effect.void): Effect.Effect<ScorerLayer, OpenScorerError> => {
  if ("corpus" in choice) return findCorpus(choice, seen)
  if (isFile(choice.name)) return Effect.map(readNgrams(choice.name), layerKneserNey)
  return findGpt2(choice.name, choice.revision ?? "main")
}

/** A scorer as a layer. */
export const openScorer = (choice: ScorerChoice): ScorerLayer => Layer.unwrap(findScorer(choice))

/**
 * Pre-trains the encoder of the conditional runs (`runs/de-en-small.yaml`, `runs/synopsis-small.yaml`) on the text of
 * their training pairs, German and English, and gives it a vocabulary of the T5 pieces that those texts use.
 *
 *     node scripts/pairs.ts && node scripts/pretrain-pair-encoder.ts [FOLDER]     default FOLDER: out/encoder-pairs
 *
 * Tokens of a pair are hidden and predicted under the mask of conditional training: those of the input from the input,
 * those of the output from both. So an English word can be read off its German sentence (the objective of XLM, one way),
 * which is what makes the latents of the two languages comparable.
 *
 * @source Lample and Conneau, Cross-lingual Language Model Pretraining, translation language modelling
 */
import { Effect, Layer, Stream } from "effect"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import * as Random from "../src/flow/Random.ts"
import { Parquet } from "../src/io/index.ts"
import { Backend } from "../src/model/Backend.ts"
import { Tokenizer } from "../src/model/Tokenizer.ts"
import { packPairs } from "../src/streams/pack.ts"
import { shuffle } from "../src/streams/shuffle.ts"
import { type TokenPair, tokenizePairs } from "../src/streams/tokenize.ts"
import { pairVectors } from "./encoder/pairVectors.ts"
import { pretrain } from "./encoder/pretraining.ts"
import { prune, type UnigramVocabulary } from "./encoder/vocabulary.ts"

const seed = 0
const steps = Number(process.env.STEPS ?? 1000)
const batchSize = 64
const layout = { length: 48, maximumCondition: 32 }
const pieces = 9208
const tasks = ["de-en", "synopsis"] as const

const folder = process.argv[2] ?? "out/encoder-pairs"

const files = (part: string) => tasks.map((task) => `out/pairs/${task}/${part}.parquet`)
const pairs = (part: string) => Parquet.readPairs(files(part), { condition: "input", target: "output" })

const vocabularyFile = join(folder, "tokenizer.json")

/** Writes the vocabulary; → its size. */
const writeVocabulary = Effect.gen(function*() {
  const { vocabularySize } = yield* Tokenizer
  const counts = new Uint32Array(vocabularySize)
  yield* pairs("train").pipe(tokenizePairs, Stream.runForEach(({ condition, target }) =>
    Effect.sync(() => [condition, target].forEach((ids) => ids.forEach((id) => counts[id]!++)))))
  const whole = JSON.parse(gunzipSync(readFileSync("assets/t5-tokenizer.json.gz")).toString("utf8")) as UnigramVocabulary
  const small = prune(whole, counts, pieces)
  mkdirSync(folder, { recursive: true })
  writeFileSync(vocabularyFile, JSON.stringify(small))
  return small.model.vocab.length
})

const rows = (part: string, epochs: number) =>
  Stream.unwrap(Effect.map(Tokenizer, ({ endOfSequenceId }) =>
    Stream.range(1, epochs).pipe(
      Stream.flatMap(() => pairs(part)),
      shuffle({ seed, window: 2 ** 16 }),
      tokenizePairs,
      packPairs({ ...layout, padId: endOfSequenceId })
    )))

const shortened = ({ condition, target }: TokenPair) => ({
  condition: condition.slice(0, layout.maximumCondition),
  target: target.slice(0, layout.length - layout.maximumCondition)
})

const train = (vocabulary: number) =>
  Effect.gen(function*() {
    const heldOut = yield* rows("validation", 1).pipe(Stream.take(8 * batchSize), Stream.runCollect)
    const config = {
      vocab_size: vocabulary,
      d_model: 128,
      d_kv: 32,
      d_ff: 512,
      num_layers: 2,
      num_heads: 4,
      relative_attention_num_buckets: 32,
      relative_attention_max_distance: 128,
      feed_forward_proj: "relu"
    } as const
    const trained = yield* pairs("train").pipe(tokenizePairs, Stream.map(shortened), Stream.runCollect)
    const vectors = pairVectors(trained, vocabulary, config.d_model, Random.keyed(seed))
    const masking = { probability: 0.2, maskId: vocabulary - 1, vocabulary: vocabulary - 1 }
    yield* pretrain({ folder, config, seed, steps, batchSize, masking, warmupSteps: 100, logEvery: 50, vectors }, rows("train", 100), heldOut)
  }).pipe(Effect.provide(Tokenizer.layerFile(vocabularyFile)))

await Effect.runPromise(
  writeVocabulary.pipe(
    Effect.tap((size) => Effect.sync(() => console.log(`${vocabularyFile}: ${size} pieces`))),
    Effect.provide(Tokenizer.layer),
    Effect.flatMap(train),
    Effect.provide(Layer.mergeAll(Backend.layer))
  )
)

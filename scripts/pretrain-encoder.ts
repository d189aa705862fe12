/**
 * Pre-trains the small T5-shaped encoder that ships with the library: masked-token prediction on the State of the Union
 * addresses, with the library's own stages.
 *
 *     node scripts/corpus.ts && node scripts/pretrain-encoder.ts [FOLDER]     default FOLDER: models/encoder-sotu
 *
 * Writes `model.safetensors` (half precision) and `config.json` in the usual T5 layout, and `training.jsonl`.
 */
import { Effect, Layer, Stream } from "effect"
import { Parquet } from "../src/io/index.ts"
import { Backend } from "../src/model/Backend.ts"
import type { T5Config } from "../src/model/T5Encoder.ts"
import { Tokenizer } from "../src/model/Tokenizer.ts"
import { pack } from "../src/streams/pack.ts"
import { shuffle } from "../src/streams/shuffle.ts"
import { tokenize } from "../src/streams/tokenize.ts"
import { pretrain, type Pretraining } from "./encoder/pretraining.ts"

const config: T5Config = {
  vocab_size: 32_100,
  d_model: 96,
  d_kv: 24,
  d_ff: 384,
  num_layers: 4,
  num_heads: 4,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  feed_forward_proj: "relu"
}

const length = 64
const heldOutSequences = 256

const run: Pretraining = {
  folder: process.argv[2] ?? "models/encoder-sotu",
  config,
  seed: 0,
  steps: Number(process.env.STEPS ?? 2200),
  batchSize: 64,
  // The first sentinel, <extra_id_0>, stands for a hidden token; replacements are ordinary pieces below the sentinels.
  masking: { probability: 0.15, maskId: 32_099, vocabulary: 32_000 },
  warmupSteps: 200,
  logEvery: 50
}

const sequences = (file: string, epochs: number) =>
  Effect.map(Tokenizer, ({ endOfSequenceId, padId }) =>
    Stream.range(1, epochs).pipe(
      Stream.flatMap(() => Parquet.read(file, { column: "text" })),
      shuffle({ seed: run.seed, window: 1024 }),
      tokenize,
      pack({ length, endOfSequenceId, padId, remainder: "drop" })
    )).pipe(Stream.unwrap)

const program = Effect.gen(function*() {
  const heldOut = yield* sequences("out/corpus/held-out.parquet", 1).pipe(Stream.take(heldOutSequences), Stream.runCollect)
  yield* pretrain(run, sequences("out/corpus/train.parquet", 100), heldOut)
})

await Effect.runPromise(Effect.provide(program, Layer.mergeAll(Backend.layer, Tokenizer.layer)))

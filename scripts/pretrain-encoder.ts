/**
 * Pre-trains the small T5-shaped encoder that ships with the library: masked-token prediction on the State of the Union
 * addresses, with the library's own stages.
 *
 *     node scripts/corpus.ts && node scripts/pretrain-encoder.ts [FOLDER]     default FOLDER: models/encoder-sotu
 *
 * Writes `model.safetensors` (half precision) and `config.json` in the usual T5 layout, and `training.jsonl`.
 */
import { Console, Effect, Layer, Stream } from "effect"
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Random from "../src/flow/Random.ts"
import { Parquet, Safetensors } from "../src/io/index.ts"
import { Backend } from "../src/model/Backend.ts"
import { initialT5 } from "../src/model/Initialization.ts"
import { learningRate } from "../src/model/LearningRate.ts"
import { maskBatch, type MaskedBatch, maskedTokenGradients, maskedTokenLoss } from "../src/model/MaskedTokens.ts"
import * as Optimizer from "../src/model/Optimizer.ts"
import { dispose, download, upload } from "../src/model/Parameters.ts"
import { encode, type T5Config } from "../src/model/T5Encoder.ts"
import { Tokenizer } from "../src/model/Tokenizer.ts"
import { pack } from "../src/streams/pack.ts"
import type { Sequence } from "../src/streams/Sequence.ts"
import { shuffle } from "../src/streams/shuffle.ts"
import { tokenize } from "../src/streams/tokenize.ts"
import * as tf from "@tensorflow/tfjs-core"

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

const run = { seed: 0, length: 64, batchSize: 64, steps: Number(process.env.STEPS ?? 2200), heldOutSequences: 256, logEvery: 50 }
const schedule = { learningRate: 2.5e-3, schedule: "cosine", warmupSteps: 200, minimumLearningRate: 1e-4, steps: run.steps } as const
const optimizer = { kind: "adamw", weightDecay: 0.01, beta1: 0.9, beta2: 0.98 } as const
/** The first sentinel, <extra_id_0>, stands for a hidden token; replacements are ordinary pieces below the sentinels. */
const masking = { probability: 0.15, maskId: 32_099, vocabulary: 32_000 }

const folder = process.argv[2] ?? "models/encoder-sotu"

const sequences = (file: string, epochs: number) =>
  Effect.map(Tokenizer, ({ endOfSequenceId, padId }) =>
    Stream.range(1, epochs).pipe(
      Stream.flatMap(() => Parquet.read(file, { column: "text" })),
      shuffle({ seed: run.seed, window: 1024 }),
      tokenize,
      pack({ length: run.length, endOfSequenceId, padId, remainder: "drop" })
    )).pipe(Stream.unwrap)

const masked = (rows: ReadonlyArray<Sequence>, source: Random.RandomSource): MaskedBatch =>
  maskBatch(masking, source, rows.map(({ ids }) => ids), rows.map(({ index }) => index))

/** Mean loss over fixed held-out sequences with fixed masks. */
const heldOutLoss = (parameters: Record<string, tf.Tensor>, batches: ReadonlyArray<MaskedBatch>) =>
  Effect.flatMap(Backend, (backend) =>
    backend.kernel("heldOutLoss", () =>
      batches.reduce((sum, batch) => sum + maskedTokenLoss(parameters, config, batch) / batches.length, 0)))

/** Mean and standard deviation of the encoder's outputs: what makes latents of mean 0 and deviation 1. */
const latentStatistics = (parameters: Record<string, tf.Tensor>, rows: ReadonlyArray<Sequence>) =>
  Effect.flatMap(Backend, (backend) =>
    backend.kernel("latentStatistics", () => {
      const ids = tf.tensor2d(Int32Array.from(rows.flatMap((row) => Array.from(row.ids))), [rows.length, run.length], "int32")
      const { mean, variance } = tf.moments(encode(parameters, config, ids))
      return { mean: mean.dataSync()[0]!, standardDeviation: Math.sqrt(variance.dataSync()[0]!) }
    }))

const log = (record: Record<string, number>) =>
  Effect.andThen(
    Effect.sync(() => appendFileSync(join(folder, "training.jsonl"), `${JSON.stringify(record)}\n`)),
    Console.log(Object.entries(record).map(([name, value]) => `${name} ${Number(value.toPrecision(5))}`).join("  "))
  )

const program = Effect.gen(function*() {
  const backend = yield* Backend
  const source = Random.keyed(run.seed)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, "training.jsonl"), "")
  const heldOut = yield* sequences("out/corpus/held-out.parquet", 1).pipe(Stream.take(run.heldOutSequences), Stream.runCollect)
  const heldOutBatches = Array.from({ length: heldOut.length / run.batchSize }, (_, i) =>
    masked(heldOut.slice(i * run.batchSize, (i + 1) * run.batchSize), Random.keyed(run.seed + 1)))
  const parameters = upload(initialT5(config, source))
  const state = Optimizer.initialState(optimizer, parameters)
  const started = Date.now()
  let window = 0

  const step = Effect.fnUntraced(function*(rows: ReadonlyArray<Sequence>, index: number) {
    yield* Effect.yieldNow
    const batch = masked(rows, source)
    const loss = yield* backend.kernel("pretrain", () => {
      const { gradients, value } = maskedTokenGradients(parameters, config, batch)
      const gradientScale = Optimizer.clipScale(Optimizer.globalNorm(gradients), 1)
      Optimizer.step(optimizer, parameters, state, gradients, { learningRate: learningRate(schedule, index), gradientScale })
      return value
    })
    window += loss / run.logEvery
    if ((index + 1) % run.logEvery === 0) {
      const tokens = ((index + 1) * run.batchSize * run.length * 1000) / (Date.now() - started)
      yield* log({ step: index + 1, loss: window, tokensPerSecond: tokens })
      if ((index + 1) % (5 * run.logEvery) === 0) yield* log({ step: index + 1, heldOutLoss: yield* heldOutLoss(parameters, heldOutBatches) })
      window = 0
    }
  })

  yield* sequences("out/corpus/train.parquet", 100).pipe(
    Stream.grouped(run.batchSize),
    Stream.take(run.steps),
    Stream.zipWithIndex,
    Stream.runForEach(([rows, index]) => step(rows, index))
  )
  const statistics = yield* latentStatistics(parameters, heldOut)
  yield* log({ step: run.steps, heldOutLoss: yield* heldOutLoss(parameters, heldOutBatches), ...statistics })
  yield* Safetensors.write(
    join(folder, "model.safetensors"),
    Array.from(download(parameters), (tensor) => ({ ...tensor, dtype: "F16" as const }))
  )
  writeFileSync(
    join(folder, "config.json"),
    `${JSON.stringify({ model_type: "t5", architectures: ["T5EncoderModel"], ...config, latent_mean: statistics.mean, latent_standard_deviation: statistics.standardDeviation }, null, 2)}\n`
  )
  dispose(parameters)
  dispose(state.moments)
})

await Effect.runPromise(Effect.provide(program, Layer.mergeAll(Backend.layer, Tokenizer.layer)))

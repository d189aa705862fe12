/**
 * Masked-token prediction until an encoder is trained: what the scripts that make encoders share.
 */
import { Console, Effect, Stream } from "effect"
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Random from "../../src/flow/Random.ts"
import { Safetensors } from "../../src/io/index.ts"
import { Backend } from "../../src/model/Backend.ts"
import { initialT5 } from "../../src/model/Initialization.ts"
import { learningRate } from "../../src/model/LearningRate.ts"
import { maskBatch, type MaskedBatch, maskedTokenGradients, maskedTokenLoss, type MaskingOptions } from "../../src/model/MaskedTokens.ts"
import * as Optimizer from "../../src/model/Optimizer.ts"
import { dispose, download, upload } from "../../src/model/Parameters.ts"
import { encode, type T5Config } from "../../src/model/T5Encoder.ts"
import { encoderMask } from "../../src/streams/embed.ts"
import type { Sequence } from "../../src/streams/Sequence.ts"
import * as tf from "@tensorflow/tfjs-core"

/** How an encoder is trained, and where it is written. */
export interface Pretraining {
  readonly folder: string
  readonly config: T5Config
  readonly seed: number
  readonly steps: number
  readonly batchSize: number
  readonly masking: MaskingOptions
  readonly warmupSteps: number
  readonly logEvery: number
  /** Initial token vectors, `[vocabulary, width]`; random ones without. */
  readonly vectors?: Float32Array | undefined
}

const optimizer = { kind: "adamw", weightDecay: 0.01, beta1: 0.9, beta2: 0.98 } as const

/** Rows with hidden tokens; a condition sees itself alone, as it will when the encoder is used. */
const masked = (masking: MaskingOptions, rows: ReadonlyArray<Sequence>, source: Random.RandomSource): MaskedBatch =>
  maskBatch(masking, source, rows, encoderMask(rows.map((row) => ({ ...row, labelDropped: false })), rows[0]!.ids.length))

/** Mean loss over fixed held-out sequences with fixed masks. */
const heldOutLoss = (parameters: Record<string, tf.Tensor>, config: T5Config, batches: ReadonlyArray<MaskedBatch>) =>
  Effect.flatMap(Backend, (backend) =>
    backend.kernel("heldOutLoss", () =>
      batches.reduce((sum, batch) => sum + maskedTokenLoss(parameters, config, batch) / batches.length, 0)))

/** Mean and standard deviation of the encoder's outputs over valid tokens and padding: what makes latents of mean 0 and deviation 1. */
const latentStatistics = (parameters: Record<string, tf.Tensor>, config: T5Config, rows: ReadonlyArray<Sequence>) =>
  Effect.flatMap(Backend, (backend) =>
    backend.kernel("latentStatistics", () => {
      const length = rows[0]!.ids.length
      const ids = tf.tensor2d(Int32Array.from(rows.flatMap((row) => Array.from(row.ids))), [rows.length, length], "int32")
      const mask = encoderMask(rows.map((row) => ({ ...row, labelDropped: false })), length)
      const visible = mask === undefined ? undefined : tf.tensor3d(mask, [rows.length, length, length])
      const { mean, variance } = tf.moments(encode(parameters, config, ids, visible))
      return { mean: mean.dataSync()[0]!, standardDeviation: Math.sqrt(variance.dataSync()[0]!) }
    }))

const logTo = (folder: string) => (record: Record<string, number>) =>
  Effect.andThen(
    Effect.sync(() => appendFileSync(join(folder, "training.jsonl"), `${JSON.stringify(record)}\n`)),
    Console.log(Object.entries(record).map(([name, value]) => `${name} ${Number(value.toPrecision(5))}`).join("  "))
  )

const groups = <A>(rows: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.floor(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size))

/**
 * Trains on `rows`, which must last for all steps, and writes `model.safetensors` (half precision) and `config.json` in
 * the usual T5 layout, and `training.jsonl`. → mean and standard deviation of the latents
 */
export const pretrain = Effect.fnUntraced(function*<E, R>(options: Pretraining, rows: Stream.Stream<Sequence, E, R>, heldOut: ReadonlyArray<Sequence>) {
  const { batchSize, config, folder, logEvery, masking, seed, steps, vectors, warmupSteps } = options
  const schedule = { learningRate: 2.5e-3, schedule: "cosine", warmupSteps, minimumLearningRate: 1e-4, steps } as const
  const backend = yield* Backend
  const source = Random.keyed(seed)
  const log = logTo(folder)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, "training.jsonl"), "")
  const heldOutBatches = groups(heldOut, batchSize).map((group) => masked(masking, group, Random.keyed(seed + 1)))
  const parameters = upload(initialT5(config, source).map((tensor) =>
    tensor.name === "shared.weight" && vectors !== undefined ? { ...tensor, data: vectors } : tensor))
  const state = Optimizer.initialState(optimizer, parameters)
  const started = Date.now()
  let window = 0

  const step = Effect.fnUntraced(function*(group: ReadonlyArray<Sequence>, index: number) {
    yield* Effect.yieldNow
    const batch = masked(masking, group, source)
    const loss = yield* backend.kernel("pretrain", () => {
      const { gradients, value } = maskedTokenGradients(parameters, config, batch)
      const gradientScale = Optimizer.clipScale(Optimizer.globalNorm(gradients), 1)
      Optimizer.step(optimizer, parameters, state, gradients, { learningRate: learningRate(schedule, index), gradientScale })
      return value
    })
    window += loss / logEvery
    if ((index + 1) % logEvery === 0) {
      const tokens = ((index + 1) * batch.ids.length * 1000) / (Date.now() - started)
      yield* log({ step: index + 1, loss: window, tokensPerSecond: tokens })
      if ((index + 1) % (5 * logEvery) === 0) yield* log({ step: index + 1, heldOutLoss: yield* heldOutLoss(parameters, config, heldOutBatches) })
      window = 0
    }
  })

  yield* rows.pipe(
    Stream.grouped(batchSize),
    Stream.take(steps),
    Stream.zipWithIndex,
    Stream.runForEach(([group, index]) => step(group, index))
  )
  const statistics = yield* latentStatistics(parameters, config, heldOut)
  yield* log({ step: steps, heldOutLoss: yield* heldOutLoss(parameters, config, heldOutBatches), ...statistics })
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
  return statistics
})

/** The things that are timed: a training step through the stages, its parts, a sample with its decoding, a large product. */
import * as tf from "@tensorflow/tfjs-core"
import { Clock, Effect, Layer, Stream } from "effect"
import { keyed, rows } from "../../src/flow/Random.ts"
import { logitNormal as gridOf } from "../../src/flow/TimeGrid.ts"
import { logitNormal } from "../../src/flow/TimeDistribution.ts"
import { Backend } from "../../src/model/Backend.ts"
import { decoderHead, type Elf, logits, predictionHead, trunk } from "../../src/model/Elf.ts"
import { Encoder } from "../../src/model/Encoder.ts"
import { initialParameters, initialT5 } from "../../src/model/Initialization.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { Network } from "../../src/model/Network.ts"
import { type OptimizerOptions, step as optimizerStep } from "../../src/model/Optimizer.ts"
import type { T5Config } from "../../src/model/T5Encoder.ts"
import { TrainState } from "../../src/model/TrainState.ts"
import { batch } from "../../src/streams/batch.ts"
import { corrupt, type CorruptionOptions } from "../../src/streams/corrupt.ts"
import { decode } from "../../src/streams/decode.ts"
import { embed } from "../../src/streams/embed.ts"
import { sample } from "../../src/streams/sample.ts"
import { selfCondition } from "../../src/streams/selfCondition.ts"
import type { EmbeddedSequence, LabelledSequence } from "../../src/streams/Sequence.ts"
import { train, type TrainOptions } from "../../src/streams/train.ts"
import { modelOf, type SpeedConfiguration } from "./configuration.ts"
import { summary, timed } from "./timing.ts"
import { forwardOperations, gradientOperations, muonOperations } from "./work.ts"

const source = keyed(0)

/** The published objective. */
export const corruption: CorruptionOptions = {
  timeDistribution: logitNormal({ mean: -1.5, standardDeviation: 0.8 }),
  noiseScale: 2,
  timeEpsilon: 0.05,
  decoderProbability: 0.2,
  decoderNoiseScale: 5,
  decoderTime: logitNormal({ mean: 0.8, standardDeviation: 0.8 }),
  selfConditionProbability: 0.5,
  selfConditionScale: { minimum: 0.5, maximum: 5 },
  padding: "pad"
}

export const optimizerOf = ({ optimizer: kind }: SpeedConfiguration): OptimizerOptions => ({ kind, weightDecay: 0, beta1: 0.9, beta2: 0.95 })

export const trainOptions = (configuration: SpeedConfiguration): TrainOptions => ({
  optimizer: optimizerOf(configuration),
  learningRate: 0.002,
  schedule: "constant",
  warmupSteps: 10,
  minimumLearningRate: 0,
  steps: 1000,
  clipNorm: 1,
  gradientAccumulation: 1,
  emaDecay: 0.9999
})

/** Sizes of T5-small. */
const t5Small: T5Config = {
  vocab_size: 32_128,
  d_model: 512,
  d_kv: 64,
  d_ff: 2048,
  num_layers: 6,
  num_heads: 8,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  feed_forward_proj: "relu"
}

/** Latents that are given, as a frozen encoder whose work is free. */
const stubEncoder = ({ text_dim: width, vocab: vocabulary }: SpeedConfiguration): Layer.Layer<Encoder> =>
  Layer.succeed(Encoder, Encoder.of({
    width,
    vocabulary,
    embed: ({ length, size }) => Effect.sync(() => rows(source.normal, { purpose: "latents", indices: Array.from({ length: size }, (_, i) => i) }, length * width))
  }))

export const encoderOf = (configuration: SpeedConfiguration) =>
  configuration.encoder === "stub" ? stubEncoder(configuration) : Encoder.layerT5({ config: t5Small, tensors: initialT5(t5Small, source) }, { mean: 0, standardDeviation: 0.2 })

export const rowOf = ({ cond, seq, vocab }: SpeedConfiguration) => (index: number): LabelledSequence => ({
  ids: Int32Array.from(source.uniform({ purpose: "ids", index }, seq), (u) => 2 + Math.floor(u * (Math.min(vocab, 32_000) - 2))),
  length: seq,
  conditionLength: cond ? Math.floor(seq / 2) : 0,
  index,
  labelDropped: false
})

/** Initial weights with a final layer that is not zero, as the reference's benchmark has it. */
const initialWeights = (config: ModelConfig) =>
  initialParameters(config, source).map((tensor) =>
    tensor.name === "final_layer.linear.weight" ? { ...tensor, data: source.normal({ purpose: "final", index: 0 }, tensor.data.length).map((x) => 0.03 * x) } : tensor)

/** The network as those who sample have it: its weights do not change. */
export const fixedNetwork = (configuration: SpeedConfiguration): ReturnType<typeof Network.layer> => {
  const config = modelOf(configuration)
  return Network.layer({ config, tensors: initialWeights(config) })
}

const now = Effect.map(Clock.currentTimeNanos, (nanoseconds) => Number(nanoseconds) / 1e9)
const processorSeconds = () => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1e6
}

/** A step is timed from one result of `train` to the next. With the stub the rows are embedded before the clock starts. */
export const trainStep = Effect.fnUntraced(function*(configuration: SpeedConfiguration) {
  const { batch: size, encoder, train_reps: repetitions } = configuration
  const warmUp = 2
  const raw = Stream.fromIterable(Array.from({ length: size * (repetitions + warmUp) }, (_, i) => i), { chunkSize: 1 }).pipe(Stream.map(rowOf(configuration)), embed({ batchSize: size }))
  const given = encoder === "stub" ? Stream.fromIterable(yield* Stream.runCollect(raw) as Effect.Effect<Array<EmbeddedSequence>>, { chunkSize: 1 }) : raw
  const ends: Array<number> = []
  let processor = 0
  let operations = 0
  const losses: Array<number> = []
  const config = modelOf(configuration)
  const count = (flags: Uint8Array) => flags.reduce((a, b) => a + b, 0)
  yield* given.pipe(
    batch({ size }),
    corrupt({ ...corruption, source }),
    Stream.mapEffect((corrupted) => Effect.sync(() => {
      if (ends.length >= warmUp) operations += gradientOperations(config, { rows: size, decoderRows: count(corrupted.decoderActive), selfConditionedRows: count(corrupted.usesSelfCondition) })
      return corrupted
    })),
    selfCondition,
    train(trainOptions(configuration)),
    Stream.runForEach(({ loss }) => Effect.map(now, (end) => {
      ends.push(end)
      losses.push(loss)
      if (ends.length === warmUp) processor = processorSeconds()
    }))
  )
  const seconds = ends.slice(warmUp).map((end, i) => end - ends[warmUp + i - 1]!)
  return { timing: summary(seconds, processorSeconds() - processor), operations: operations / repetitions, losses: [losses[0]!, losses.at(-1)!] as const }
})

export const optimizerOnly = Effect.fnUntraced(function*(configuration: SpeedConfiguration) {
  const backend = yield* Backend
  const { elf, optimizer } = yield* TrainState
  const update = backend.kernel("optimizer", () => {
    const gradients = Object.fromEntries(Object.entries(elf.parameters).map(([name, value]) => [name, tf.mul(value, 1e-3)]))
    optimizerStep(optimizerOf(configuration), elf.parameters, optimizer, gradients, { learningRate: 0.002, gradientScale: 1 })
  })
  return yield* timed(update, Math.max(2, Math.floor(configuration.train_reps / 2)))
})

export const forwardPass = (elf: Elf, { batch: size, seq, text_dim: width }: SpeedConfiguration, head: "prediction" | "logits"): void => {
  const shape: [number, number, number] = [size, seq, width]
  const stream = trunk(elf, {
    z: tf.ones(shape),
    selfCondition: tf.ones(shape),
    t: tf.fill([size], 0.5) as tf.Tensor1D,
    selfConditionScale: tf.fill([size], 3) as tf.Tensor1D,
    ...(head === "logits" ? { decoderGate: tf.ones([size]) as tf.Tensor1D } : {})
  })
  tf.sum(head === "logits" ? logits(elf, decoderHead(elf, stream)) : predictionHead(elf, stream)).dataSync()
}

const forward = Effect.fnUntraced(function*(configuration: SpeedConfiguration, head: "prediction" | "logits") {
  const backend = yield* Backend
  const { elf } = yield* Network
  return yield* timed(backend.kernel("forward", () => forwardPass(elf, configuration, head)), Math.max(3, configuration.train_reps))
})

/** A sample and its tokens. */
export const sampleOnce = ({ sample_batch: count, sample_steps: steps }: SpeedConfiguration) =>
  Stream.fromIterable(gridOf({ steps, source }), { chunkSize: 1 }).pipe(
    sample({ source, keys: Array.from({ length: count }, (_, key) => key), gamma: 1, selfConditionScale: 3 }),
    Stream.filter(({ step }) => step.last),
    decode({ selfConditionScale: 3 }),
    Stream.runDrain
  )

/** Work on a training state of its own, which is gone before the next thing is measured. */
export const withTraining = <A, E>(configuration: SpeedConfiguration, work: Effect.Effect<A, E, Backend | Encoder | Layer.Success<ReturnType<typeof TrainState.layer>>>) => {
  const config = modelOf(configuration)
  const state = TrainState.layer({ config, optimizer: optimizerOf(configuration), from: () => initialWeights(config) })
  return Effect.scoped(Effect.provide(work, Layer.fresh(Layer.merge(state, encoderOf(configuration)))))
}

const training = (configuration: SpeedConfiguration) =>
  withTraining(configuration, Effect.gen(function*() {
    const step = yield* trainStep(configuration)
    const peak = process.resourceUsage().maxRSS / 1024
    return { step, peak, optimizer: yield* optimizerOnly(configuration) }
  }))

/** What a network does whose weights stay as they are. */
const withoutGradient = (configuration: SpeedConfiguration) => {
  const measured = Effect.gen(function*() {
    const prediction = yield* forward(configuration, "prediction")
    const decoding = yield* forward(configuration, "logits")
    const sampling = yield* timed(sampleOnce(configuration), configuration.sample_reps)
    return { prediction, decoding, sampling }
  })
  return Effect.scoped(Effect.provide(measured, Layer.fresh(fixedNetwork(configuration))))
}

/** Operations a second of a large product: what the machine gives at most. */
const matrixLimit = Effect.gen(function*() {
  const backend = yield* Backend
  const size = 2048
  const x = yield* Effect.acquireRelease(backend.kernel("limit", () => tf.randomNormal([size, size])), (x) => Effect.sync(() => x.dispose()))
  const { min_s: least } = yield* timed(backend.kernel("limit", () => void tf.matMul(x, x).dataSync()), 5)
  return (2 * size ** 3) / least
})

/** All figures of one configuration. Operations are counted as in `work.ts`. */
export const measure = (configuration: SpeedConfiguration) => {
  const config = modelOf(configuration)
  const { batch: rows, sample_batch: samples, sample_steps: steps } = configuration
  return Effect.scoped(Effect.gen(function*() {
    const { description } = yield* Backend
    const limit = yield* matrixLimit
    const { optimizer, peak, step } = yield* training(configuration)
    const { decoding, prediction, sampling } = yield* withoutGradient(configuration)
    const operations = step.operations + (configuration.optimizer === "muon" ? muonOperations(config) : 0)
    const share = (work: number, seconds: number) => Math.round((100 * work) / seconds / limit) / 100
    return {
      config: configuration,
      engine: description,
      train_step: step.timing,
      train_tokens_per_s_median: Math.round((10 * rows * configuration.seq) / step.timing.median_s) / 10,
      optimizer_step_only: optimizer,
      forward_denoise_nograd: prediction,
      forward_decode_nograd: decoding,
      sample_sde_plus_decode: sampling,
      sample_seqs_per_s_median: Math.round((1e4 * samples) / sampling.median_s) / 1e4,
      matmul_limit_gflops: Math.round(limit / 1e9),
      step_gflop: Math.round(operations / 1e8) / 10,
      step_share_of_limit: share(operations, step.timing.mean_s),
      forward_share_of_limit: share(forwardOperations(config, rows, "prediction"), prediction.median_s),
      sample_share_of_limit: share(steps * forwardOperations(config, samples, "prediction") + forwardOperations(config, samples, "logits"), sampling.median_s),
      loss_first_last: step.losses,
      train_max_rss_mb: Math.round(peak),
      max_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024)
    }
  }))
}

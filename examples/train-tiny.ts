/**
 * Every stage from text to training metrics, composed by hand around a tiny network and a tiny random encoder.
 *
 *     npx node examples/train-tiny.ts
 */
import { Console, Effect, Layer, Stream } from "effect"
import {
  Backend, batch, corrupt, dropLabels, embed, Encoder, Initialization, ModelConfig, pack, prefetch, Random, selfCondition,
  TimeDistribution, tokenize, Tokenizer, train, TrainState
} from "elf-streams"

const seed = 0
const texts = ["The state of our union is strong.", "We ask not for favors but for fairness.", "Peace is the work of many hands."]

const config = { ...ModelConfig.presets["ELF-B"], hidden: 32, depth: 2, heads: 2, textWidth: 16, bottleneck: 8, length: 16 }
const optimizer = { kind: "muon", weightDecay: 0, beta1: 0.9, beta2: 0.95 } as const
const t5 = {
  vocab_size: 32_100, d_model: 16, d_kv: 8, d_ff: 32, num_layers: 1, num_heads: 2,
  relative_attention_num_buckets: 32, relative_attention_max_distance: 128, feed_forward_proj: "relu"
} as const

const layers = Layer.mergeAll(
  Tokenizer.layer,
  Encoder.layerT5({ config: t5, tensors: Initialization.initialT5(t5, Random.keyed(seed)) }, { mean: 0, standardDeviation: 1 }),
  TrainState.layer({ config, optimizer, from: Initialization.initialParameters(config, Random.keyed(seed)) })
)

const program = Stream.fromIterable(texts).pipe(
  Stream.forever,
  tokenize,
  pack({ length: config.length, endOfSequenceId: 1, padId: 0 }),
  dropLabels({ probability: 0, seed }),
  prefetch(2),
  embed({ batchSize: 8 }),
  batch({ size: 8 }),
  corrupt({
    seed,
    timeDistribution: TimeDistribution.logitNormal({ mean: -1.5, standardDeviation: 0.8 }),
    noiseScale: 2,
    timeEpsilon: 0.05,
    decoderProbability: 0.5,
    decoderNoiseScale: 1,
    decoderTime: TimeDistribution.logitNormal({ mean: 0.8, standardDeviation: 0.8 }),
    selfConditionProbability: 0.5,
    selfConditionScale: { minimum: 0.5, maximum: 5 },
    padding: "pad"
  }),
  selfCondition,
  train({
    optimizer, learningRate: 0.01, schedule: "constant", warmupSteps: 0, minimumLearningRate: 0, steps: 30,
    clipNorm: 1, gradientAccumulation: 1, emaDecay: 0.99
  }),
  Stream.take(30),
  Stream.filter(({ step }) => step === 1 || step % 10 === 0),
  Stream.runForEach(({ decoderLoss, denoiserLoss, step }) =>
    Console.log(`step ${step}  denoiser ${denoiserLoss.toFixed(3)}  decoder ${decoderLoss.toFixed(3)}`))
)

await program.pipe(Effect.provide(layers), Effect.provide(Backend.layer), Effect.runPromise)

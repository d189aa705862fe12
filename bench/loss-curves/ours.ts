/**
 * This library's side: `node bench/loss-curves/ours.ts DATA SEED OUT` trains on the rows of DATA with the stages of
 * production and writes the losses of each step to OUT, a line of JSON each.
 */
import { Console, Effect, Layer, Stream } from "effect"
import { createWriteStream } from "node:fs"
import { join } from "node:path"
import {
  Backend, batch, corrupt, dropLabels, embed, Encoder, Initialization, Random, Safetensors, selfCondition, type Sequence, T5Folder,
  train, TrainState
} from "../../src/index.ts"
import { corruptionOptions, modelConfig } from "../parity/reference.ts"
import { settings, type StepLosses } from "./settings.ts"

const [data, seedText, out] = process.argv.slice(2)
if (data === undefined || seedText === undefined || out === undefined) throw new Error("usage: ours.ts DATA SEED OUT")
const seed = Number(seedText)

const config = modelConfig(settings)
const optimizer = { kind: settings.optimizer, weightDecay: settings.weight_decay, beta1: 0.9, beta2: 0.95 }
const normalization = { mean: settings.latent_mean, standardDeviation: settings.latent_std }

const rows = Stream.unwrap(Effect.map(Safetensors.readAll(join(data, "rows.safetensors")), (tensors) => {
  const [ids, lengths, conditionLengths] = ["ids", "lengths", "conditionLengths"].map((name) => tensors.get(name)!.data as Int32Array)
  return Stream.range(0, lengths!.length - 1).pipe(Stream.map((index): Sequence => ({
    ids: ids!.slice(index * config.length, (index + 1) * config.length),
    length: lengths![index]!,
    conditionLength: conditionLengths![index]!,
    index
  })))
}))

const layers = Layer.mergeAll(
  Layer.unwrap(Effect.map(T5Folder.load(join(data, "encoder")), (weights) => Encoder.layerT5(weights, normalization))),
  TrainState.layer({ config, optimizer, from: Initialization.initialParameters(config, Random.keyed(seed)) })
)

const file = createWriteStream(out)

const program = rows.pipe(
  dropLabels({ probability: settings.label_drop_prob, seed }),
  embed({ batchSize: settings.batch_size }),
  batch({ size: settings.batch_size }),
  corrupt({ ...corruptionOptions(settings), seed }),
  selfCondition,
  train({
    optimizer,
    learningRate: settings.lr,
    schedule: settings.lr_schedule,
    warmupSteps: settings.warmup_steps,
    minimumLearningRate: settings.min_lr,
    steps: settings.steps,
    clipNorm: 1,
    gradientAccumulation: settings.grad_accum_steps,
    emaDecay: settings.ema_decay1
  }),
  Stream.take(settings.steps),
  Stream.tap(({ step }) => step % 100 === 0 ? Console.error(`ours, seed ${seed}: step ${step}`) : Effect.void),
  Stream.runForEach(({ decoderLoss, denoiserLoss, loss, step }) =>
    Effect.sync(() => file.write(`${JSON.stringify({ step, loss, denoiserLoss, decoderLoss } satisfies StepLosses)}\n`)))
)

await program.pipe(Effect.provide(layers), Effect.provide(Backend.layer), Effect.runPromise)
await new Promise((resolve) => file.end(resolve))

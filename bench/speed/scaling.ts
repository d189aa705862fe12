/**
 * How speed depends on sizes: `npm run bench:scaling -- [mid|elfb|tiny|JSON] [JSON]`. Prints Markdown tables: training against
 * batch, length, width and depth, what each stage of the training pipeline costs, and sampling against steps.
 */
import { Effect, Stream } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import type { Encoder } from "../../src/model/Encoder.ts"
import type { TrainState } from "../../src/model/TrainState.ts"
import { batch } from "../../src/streams/batch.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import { embed } from "../../src/streams/embed.ts"
import { selfCondition } from "../../src/streams/selfCondition.ts"
import { train } from "../../src/streams/train.ts"
import { configurationOf, type SpeedConfiguration } from "./configuration.ts"
import { measuredEngine, runBenchmark } from "./engine.ts"
import { corruption, fixedNetwork, rowOf, sampleOnce, trainOptions, trainStep, withTraining } from "./measure.ts"
import { timed } from "./timing.ts"

const base = configurationOf(process.argv.slice(2))

const row = (...cells: ReadonlyArray<string | number>): void => void process.stdout.write(`| ${cells.join(" | ")} |\n`)

const heading = (...cells: ReadonlyArray<string>): void => {
  process.stdout.write("\n")
  row(...cells)
  row(...cells.map(() => "---"))
}

const against = Effect.fnUntraced(function*(name: string, variants: ReadonlyArray<Partial<SpeedConfiguration>>) {
  heading(name, "milliseconds a step", "tokens/s")
  for (const variant of variants) {
    const configuration = { ...base, ...variant }
    const { timing } = yield* withTraining(configuration, trainStep(configuration))
    row(Object.values(variant).join(" / "), Math.round(1000 * timing.median_s), Math.round((configuration.batch * configuration.seq) / timing.median_s))
  }
})

/** Batches of the streams alone: their cost is microseconds, so a few would measure the clock. */
const emptySteps = 500

/** Seconds a step for the streams of the pipeline with nothing in them: the operators of its stages, and elements that are numbers. */
const emptyPipeline = Effect.gen(function*() {
  const { batch: size } = base
  const rows = Stream.fromIterable(Array.from({ length: size * emptySteps }, (_, i) => i), { chunkSize: 1 }).pipe(Stream.map((i) => i))
  const embedded = rows.pipe(Stream.grouped(size), Stream.mapEffect((all) => Effect.succeed(all)), Stream.flattenIterable)
  const batched = embedded.pipe(Stream.mapAccum(() => 0, (seen, i) => [seen + 1, (seen + 1) % size === 0 ? [i] : []] as const))
  const corrupted = batched.pipe(Stream.map((i) => i))
  const trained = corrupted.pipe(Stream.mapEffect((i) => Effect.succeed(i)), Stream.mapEffect((i) => Effect.succeed(i)))
  const { min_s: seconds } = yield* timed(Stream.runDrain(trained), 5)
  return seconds / emptySteps
})

/** Seconds for `steps` batches through the pipeline up to each stage; the difference is the stage. */
const stages = Effect.gen(function*() {
  const steps = base.train_reps
  const { batch: size } = base
  const rows = Stream.fromIterable(Array.from({ length: size * steps }, (_, i) => i), { chunkSize: 1 }).pipe(Stream.map(rowOf(base)))
  const embedded = rows.pipe(embed({ batchSize: size }))
  const batched = embedded.pipe(batch({ size }))
  const corrupted = batched.pipe(corrupt({ ...corruption, seed: 0 }))
  const conditioned = corrupted.pipe(selfCondition)
  const upTo = [["rows", rows], ["embed (latents are drawn)", embedded], ["batch", batched], ["corrupt", corrupted], ["selfCondition", conditioned], ["train", conditioned.pipe(train(trainOptions(base)))]] as const
  heading("stage", "milliseconds a step")
  const streams = yield* emptyPipeline
  let before = 0
  for (const [name, stream] of upTo) {
    const { min_s: seconds } = yield* timed(Stream.runDrain(stream as Stream.Stream<unknown, unknown, Backend | Encoder | TrainState>), 2)
    row(name, ((1000 * (seconds - before)) / steps).toFixed(2))
    before = seconds
  }
  row("of all this, the streams themselves", `${(1000 * streams).toFixed(3)} (${((100 * steps * streams) / before).toFixed(3)} %)`)
})

const sampling = Effect.gen(function*() {
  heading("sampler steps, decoding", "milliseconds")
  for (const steps of [1, 2, 4, 8, 16, 32]) {
    const { median_s: seconds } = yield* timed(sampleOnce({ ...base, sample_steps: steps }), base.sample_reps)
    row(steps, Math.round(1000 * seconds))
  }
})

await runBenchmark(Effect.gen(function*() {
  const { description } = yield* Backend
  process.stdout.write(`${base.name}: hidden ${base.hidden}, depth ${base.depth}, ${base.batch} × ${base.seq} tokens, ${base.optimizer}; ${description}\n`)
  yield* against("batch", [1, 2, 4, 8, 16].map((size) => ({ batch: size })))
  yield* against("length", [32, 64, 128, 256, 512].map((seq) => ({ seq })))
  yield* against("width / heads", [64, 128, 256, 512].map((hidden) => ({ hidden, heads: hidden / 64 })))
  yield* against("depth", [2, 4, 6, 12].map((depth) => ({ depth })))
  yield* withTraining(base, stages)
  yield* Effect.provide(sampling, fixedNetwork(base))
}).pipe(Effect.provide(measuredEngine(base.threads))))

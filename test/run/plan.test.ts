/** Epochs as steps: a run of so many epochs takes the steps that its data gives. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Parquet, RunConfig } from "../../src/io/index.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import { encoderLayer, planDistillation, planRun, rowsPerEpoch, ShortRunError, trainingBatches } from "../../src/run/index.ts"
import { tokenize } from "../../src/streams/tokenize.ts"
import { tinyFolder, writeRunFile } from "../cli/tinyRun.ts"
import { testEngine } from "../support/backend.ts"

const load = (data: Record<string, unknown>, optimizer: Record<string, unknown>) =>
  Effect.gen(function*() {
    const folder = yield* tinyFolder
    const path = yield* writeRunFile(folder, "run.json", { data, optimizer: { steps: undefined, warmupSteps: undefined, ...optimizer } })
    return yield* RunConfig.load(path)
  })

const batchesOf = (run: RunConfig.RunConfig) =>
  Stream.runCount(trainingBatches(run)).pipe(Effect.provide(Layer.merge(encoderLayer(run), Tokenizer.layer)))

layer(testEngine)("planRun", (it) => {
  it.effect("packed text: as many steps as the stream of that many epochs has batches", () =>
    Effect.gen(function*() {
      const run = yield* load({ epochs: 5 }, { warmupEpochs: 0.5 })
      const { optimizer } = yield* planRun(run)
      const lengths = yield* Parquet.read(run.data.train, { column: "text" }).pipe(tokenize, Stream.map(({ length }) => length + 1), Stream.runCollect, Effect.provide(Tokenizer.layer))
      const rows = lengths.reduce((a, b) => a + b, 0) / 16
      assert.strictEqual(yield* rowsPerEpoch(run).pipe(Effect.provide(Tokenizer.layer)), rows)
      assert.deepInclude(optimizer, { steps: Math.floor((5 * rows) / 4), warmupSteps: Math.floor((0.5 * rows) / 4) })
      assert.isAbove(optimizer.warmupSteps, 0)
      assert.strictEqual(optimizer.steps, yield* batchesOf(run))
    }))

  it.effect("pairs: a row each; an update is batchSize × gradientAccumulation rows", () =>
    Effect.gen(function*() {
      const run = yield* load({ epochs: 4, conditionColumn: "text", batchSize: 2 }, { warmupEpochs: 1, gradientAccumulation: 3 })
      const { optimizer } = yield* planRun(run)
      assert.deepInclude(optimizer, { steps: Math.floor((4 * 16) / 6), warmupSteps: Math.floor(16 / 6) })
    }))

  it.effect("steps of its own win over epochs, and steps of warm-up too; the warm-up never outlasts the run", () =>
    Effect.gen(function*() {
      const own = yield* load({ epochs: 5 }, { steps: 3, warmupSteps: 2, warmupEpochs: 0.5 })
      assert.deepInclude((yield* planRun(own)).optimizer, { steps: 3, warmupSteps: 2 })
      const short = yield* load({ epochs: 5 }, { steps: 3, warmupEpochs: 5 })
      assert.deepInclude((yield* planRun(short)).optimizer, { steps: 3, warmupSteps: 3 })
    }))

  it.effect("a planned run needs no second plan, and loads again from a checkpoint as it is", () =>
    Effect.gen(function*() {
      const planned = yield* planRun(yield* load({ epochs: 5 }, { warmupEpochs: 0.5 }))
      assert.deepStrictEqual(yield* planRun(planned), planned)
      assert.deepStrictEqual(yield* RunConfig.decode(planned), planned)
    }))

  it.effect("a round of a distillation is planned as a run is", () =>
    Effect.gen(function*() {
      const run = yield* load({ epochs: 1, conditionColumn: "text", batchSize: 2 }, { gradientAccumulation: 3 })
      const { distillation } = yield* RunConfig.decode({ ...run, distillation: { teacher: "teacher", epochsPerRound: 4, warmupEpochs: 1 } })
      assert.deepInclude(yield* planDistillation(run, distillation!), { stepsPerRound: Math.floor((4 * 16) / 6), warmupSteps: Math.floor(16 / 6) })
      assert.deepInclude(yield* planDistillation(run, { ...distillation!, stepsPerRound: 1 }), { stepsPerRound: 1, warmupSteps: 1 })
      const planned = yield* planDistillation(run, { ...distillation!, stepsPerRound: 9, warmupSteps: 4 })
      assert.deepStrictEqual(yield* planDistillation(run, planned), planned)
      assert.deepInclude(planned, { stepsPerRound: 9, warmupSteps: 4, decoderProbability: 0.2 })
    }))

  it.effect("data for less than one update is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(planRun(yield* load({ epochs: 1, conditionColumn: "text", batchSize: 17 }, {})))
      assert.instanceOf(error, ShortRunError)
      assert.match(error.message, /1 epochs of 16 rows do not fill one update of 17 rows/)
    }))
})

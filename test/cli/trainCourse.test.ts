/** Runs as `elf train` makes them, inside of this process: what happens when they diverge, are aborted, or meet another. */
import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Stream } from "effect"
import { copyFileSync, existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { trainRun } from "../../src/cli/trainRun.ts"
import { batchesOf, trainSteps } from "../../src/cli/trainSteps.ts"
import { keyed } from "../../src/flow/Random.ts"
import { acquireRunLock, Checkpoint, MetricsLog, RunConfig } from "../../src/io/index.ts"
import { Backend, type BackendError } from "../../src/model/Backend.ts"
import { initialParameters } from "../../src/model/Initialization.ts"
import type { Network } from "../../src/model/Network.ts"
import { TrainState } from "../../src/model/TrainState.ts"
import { corruptionOptions } from "../../src/run/corruption.ts"
import { encoderLayer, tokenizerLayer } from "../../src/run/encoder.ts"
import { fingerprints } from "../../src/run/fingerprints.ts"
import { type PlannedRun, planRun } from "../../src/run/plan.ts"
import { runChanges } from "../../src/run/runChanges.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import { DivergedError, type LatentBatch, selfCondition, type SelfConditionedBatch } from "../../src/streams/index.ts"
import { testEngine } from "../support/backend.ts"
import { tensorsOf } from "./tensors.ts"
import { tinyFolder, writeRunFile } from "./tinyRun.ts"

type Changes = Record<string, Record<string, unknown>>

const load = (folder: string, name: string, changes: Changes = {}) =>
  Effect.flatMap(writeRunFile(folder, `${name}.json`, { ...changes, checkpoint: { directory: name, every: 2, ...changes["checkpoint"] }, log: { every: 100, file: `${name}/metrics.jsonl`, ...changes["log"] } }), RunConfig.load)

const stepsOf = (folder: string) => Effect.map(Checkpoint.list(folder), (found) => found.map(({ step }) => step))

/** Metrics but for the clock. */
const metricsOf = (file: string) => Effect.map(MetricsLog.read(file), (lines) => lines.map(({ time: _, ...rest }) => rest))

/** NaN in the first value of the batches whose first row is among `rows`. */
const poison = (rows: ReadonlyArray<number>) =>
  Stream.map((batch: SelfConditionedBatch) => rows.includes(batch.indices[0]!) ? { ...batch, z: batch.z.map((x, i) => i === 0 ? NaN : x) } : batch)

/** The steps of a run on data that is poisoned. */
const poisoned = Effect.fnUntraced(function*(run: PlannedRun, rows: ReadonlyArray<number>) {
  const lock = yield* acquireRunLock(run.checkpoint.directory)
  const { model: config, optimizer } = run
  const state = TrainState.layer({ config, optimizer, from: initialParameters(config, keyed(run.seed)) })
  const prepare = <E, R>(upstream: Stream.Stream<LatentBatch, E, R>) =>
    upstream.pipe(corrupt({ ...corruptionOptions(run), source: keyed(run.seed) }), selfCondition, poison(rows))
  return yield* Effect.gen(function*() {
    return yield* trainSteps<BackendError, Backend | Network, never, never>({ run, step: 0, position: undefined, fingerprints: yield* fingerprints(run), lock, prepare, heldOutLoss: undefined })
  }).pipe(Effect.provide(Layer.mergeAll(Layer.fresh(state), encoderLayer(run), tokenizerLayer(run))))
}, Effect.scoped)

layer(testEngine, { excludeTestServices: true })("a run", (it) => {
  it.effect("that diverges stops with its step, branch and norm, and its last checkpoint stays as it was", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const run = yield* planRun(yield* load(folder, "stop"))
      const error = yield* Effect.flip(poisoned(run, [16]))
      assert.instanceOf(error, DivergedError)
      assert.match(error.message, /^Training diverged at step 5 in the (denoiser|decoder) branch: loss NaN \(denoiser .*, decoder .*\), gradient norm NaN\. The step was not applied/)
      assert.deepStrictEqual(error.resume?.index, 20)
      assert.deepStrictEqual(yield* stepsOf(join(folder, "stop")), [2, 4])
      assert.strictEqual((yield* Checkpoint.read(join(folder, "stop"))).step, 4)
      yield* tensorsOf(join(folder, "stop"))
    })), 60_000)

  it.effect("passes over what diverges and says so in its log", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const run = yield* planRun(yield* load(folder, "skip", { optimizer: { onDivergence: "skip" } }))
      assert.strictEqual((yield* poisoned(run, [8])).steps, batchesOf(run))
      const lines = yield* metricsOf(join(folder, "skip", "metrics.jsonl"))
      assert.deepStrictEqual(lines.map(({ skipped, step, updates }) => [step, updates, skipped === true]), [[1, 1, false], [2, 2, false], [3, 2, true], [4, 3, false], [5, 4, false], [6, 5, false]])
      assert.isNull(lines[2]!.loss)
    })), 60_000)

  it.effect("rolls back to its last checkpoint and goes on behind the batch that diverged, its log too; not for ever", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const run = yield* planRun(yield* load(folder, "back", { optimizer: { onDivergence: "rollback" } }))
      const { live } = yield* Backend
      const tensors = yield* live
      // Rows 0–3 make the first batch: it diverges before any checkpoint but the one of step 0.
      yield* poisoned(run, [0, 12])
      assert.strictEqual(yield* live, tensors)
      const lines = yield* metricsOf(join(folder, "back", "metrics.jsonl"))
      assert.deepStrictEqual(lines.map(({ step }) => step), [1, 2, 3, 4, 5, 6])
      assert.isTrue(lines.every(({ loss }) => Number.isFinite(loss)))
      const { metadata, step } = yield* Checkpoint.read(join(folder, "back"))
      // Six batches of four rows were trained on, and two were left behind.
      assert.deepStrictEqual([step, (metadata["resume"] as { readonly index: number }).index], [6, 32])

      const endless = yield* planRun(yield* load(folder, "endless", { optimizer: { onDivergence: "rollback" } }))
      const error = yield* Effect.flip(poisoned(endless, Array.from({ length: 40 }, (_, i) => 8 + 4 * i)))
      assert.instanceOf(error, DivergedError)
      assert.strictEqual((yield* Checkpoint.read(join(folder, "endless"))).step, 2)
    })), 60_000)

  it.effect("aborted by a signal saves the step in hand, frees every tensor, and goes on to the same end", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const whole = yield* load(folder, "whole")
      const parts = yield* load(folder, "parts", { checkpoint: { every: 100 } })
      yield* trainRun({ run: whole, resume: false })
      const { live } = yield* Backend
      const tensors = yield* live
      const controller = new AbortController()
      const backend = yield* Effect.context<Backend>()
      const running = Effect.runPromiseExit(Effect.provideContext(trainRun({ run: parts, resume: false }), backend), { signal: controller.signal })
      const log = join(folder, "parts", "metrics.jsonl")
      while (!existsSync(log) || readFileSync(log, "utf8").split("\n").length < 3) yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
      controller.abort()
      const exit = yield* Effect.promise(() => running)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.strictEqual(yield* live, tensors)
      const { step } = yield* Checkpoint.read(join(folder, "parts"))
      assert.isTrue(step >= 2 && step < 6, `step ${step}`)
      assert.deepStrictEqual((yield* metricsOf(log)).length, step)
      assert.notInclude(readdirSync(join(folder, "parts")), "run.lock")
      yield* trainRun({ run: { ...parts, data: { ...parts.data, prefetch: 3 } }, resume: true })
      assert.deepStrictEqual(yield* tensorsOf(join(folder, "parts")), yield* tensorsOf(join(folder, "whole")))
      assert.deepStrictEqual(yield* metricsOf(log), yield* metricsOf(join(folder, "whole", "metrics.jsonl")))
    })), 60_000)

  it.effect("refuses to go on changed, naming what; goes on with it when told to", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const run = yield* load(folder, "run", { optimizer: { steps: 2 } })
      yield* trainRun({ run, resume: false })
      const changed = { ...run, data: { ...run.data, train: join(folder, "other.parquet") }, optimizer: { ...run.optimizer, steps: 4, learningRate: 0.5 } }
      copyFileSync(join(folder, "texts.parquet"), join(folder, "other.parquet"))
      const error = yield* Effect.flip(trainRun({ run: changed, resume: true }))
      // A copy of the data is the same data.
      assert.match(error.message, /^This is not the run that .*step-00000002 was written by: optimizer\.learningRate is 0\.5, it was 0\.01\. Undo that, or go on all the same with --accept-changes\.$/)
      assert.strictEqual((yield* trainRun({ run: changed, resume: true, acceptChanges: true })).steps, 4)
      const { metadata } = yield* Checkpoint.read(join(folder, "run"))
      assert.hasAllKeys(metadata["fingerprints"] as object, ["data", "vocabulary", "encoder"])
      assert.deepInclude(metadata["data"] as object, { file: "other.parquet", pass: 0, window: 1, row: 8, rowGroup: 2 })
      const others = { data: "other", vocabulary: "other", encoder: "other" }
      assert.deepStrictEqual(yield* runChanges(yield* Checkpoint.read(join(folder, "run")), yield* planRun(changed), others), [
        "the files of data.train are not the same", "the tokenizer has another vocabulary", "the encoder has other weights or another name"
      ])
    })), 60_000)

  it.effect("keeps the best by held-out loss, measured at each checkpoint", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const run = yield* load(folder, "best", { data: { heldOut: "texts.parquet" }, checkpoint: { every: 1, keep: 1, keepEvery: 4, keepBest: 1 }, log: { heldOutEvery: 100 } })
      yield* trainRun({ run, resume: false })
      const losses = (yield* MetricsLog.read(join(folder, "best", "metrics.jsonl"))).flatMap(({ heldOutLoss, step }) => heldOutLoss === undefined ? [] : [[heldOutLoss, step] as const])
      assert.strictEqual(losses.length, 6)
      const best = losses.toSorted(([a], [b]) => a - b)[0]![1]
      assert.deepStrictEqual(yield* stepsOf(join(folder, "best")), [...new Set([4, 6, best])].sort())
    })), 60_000)
})

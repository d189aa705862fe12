/** The steps of a run in a group whose members are fibers of this process: what happens when a batch diverges in one of them. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { join } from "node:path"
import { trainSteps } from "../../src/cli/trainSteps.ts"
import { keyed } from "../../src/flow/Random.ts"
import { Checkpoint, MetricsLog, RunConfig, type RunLock } from "../../src/io/index.ts"
import { Backend, type BackendError } from "../../src/model/Backend.ts"
import { Collective, type CollectiveFields } from "../../src/model/Collective.ts"
import { initialParameters } from "../../src/model/Initialization.ts"
import type { Network } from "../../src/model/Network.ts"
import { TrainState } from "../../src/model/TrainState.ts"
import { corruptionOptions } from "../../src/run/corruption.ts"
import { encoderLayer, tokenizerLayer } from "../../src/run/encoder.ts"
import { fingerprints } from "../../src/run/fingerprints.ts"
import { type PlannedRun, planRun } from "../../src/run/plan.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import { type LatentBatch, selfCondition, type SelfConditionedBatch } from "../../src/streams/index.ts"
import { testEngine } from "../support/backend.ts"
import { inMemoryGroup } from "../support/inMemoryGroup.ts"
import { tinyFolder, writeRunFile } from "./tinyRun.ts"

/** NaN in the batches that begin with one of `rows`. */
const poison = (rows: ReadonlyArray<number>) =>
  Stream.map((batch: SelfConditionedBatch) => rows.includes(batch.indices[0]!) ? { ...batch, z: batch.z.map(() => NaN) } : batch)

const lock: RunLock = { check: Effect.void }

/** The steps of one member. Members start from different weights: rank 0's are what counts. */
const member = (run: PlannedRun, fields: CollectiveFields, rows: ReadonlyArray<number>) => {
  const { model: config, optimizer } = run
  const state = TrainState.layer({ config, optimizer, from: initialParameters(config, keyed(run.seed + fields.rank)) })
  const prepare = <E, R>(upstream: Stream.Stream<LatentBatch, E, R>) =>
    upstream.pipe(corrupt({ ...corruptionOptions(run), source: keyed(run.seed) }), selfCondition, poison(rows))
  return Effect.gen(function*() {
    return yield* trainSteps<BackendError, Backend | Network, never, never>({ run, step: 0, position: undefined, fingerprints: yield* fingerprints(run), lock, prepare, heldOutLoss: undefined })
  }).pipe(
    Effect.provide(Layer.mergeAll(Layer.fresh(state), encoderLayer(run), tokenizerLayer(run))),
    Effect.provideService(Collective, fields)
  )
}

layer(testEngine, { excludeTestServices: true })("a run in a group", (it) => {
  it.effect("rolls back in all members, whoever's rows diverge, and leaves no tensor", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const file = yield* writeRunFile(folder, "back.json", {
        checkpoint: { directory: "back", every: 2 },
        log: { every: 100, file: "back/metrics.jsonl" },
        optimizer: { steps: 6, onDivergence: "rollback" }
      })
      const run = yield* planRun(yield* RunConfig.load(file))
      const { live } = yield* Backend
      const tensors = yield* live
      // Of the rows 0–3 of the first batch rank 1 has the first two; of rows 12–15 rank 0 has the last two.
      yield* Effect.all(inMemoryGroup(2).map((fields) => member(run, fields, [0, 14])), { concurrency: "unbounded" })
      assert.strictEqual(yield* live, tensors)
      const lines = yield* MetricsLog.read(join(folder, "back", "metrics.jsonl"))
      assert.deepStrictEqual(lines.map(({ step, tokens }) => [step, tokens]), [1, 2, 3, 4, 5, 6].map((step) => [step, 4 * run.model.length]))
      assert.isTrue(lines.every(({ loss }) => Number.isFinite(loss)))
      const { metadata, step } = yield* Checkpoint.read(join(folder, "back"))
      // Six batches of four rows were trained on, and two were left behind.
      assert.deepStrictEqual([step, (metadata["resume"] as { readonly index: number }).index], [6, 32])
    })), 60_000)
})

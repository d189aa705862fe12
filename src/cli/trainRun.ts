/**
 * A training run from its run file: data, stages, progress, held-out loss and checkpoints.
 */
import { Clock, Effect, Layer, Ref, Schema, Stream } from "effect"
import { existsSync } from "node:fs"
import { keyed } from "../flow/Random.ts"
import { Checkpoint, type RunConfig } from "../io/index.ts"
import { initialParameters } from "../model/Initialization.ts"
import { snapshot, TrainState, type TrainStart } from "../model/TrainState.ts"
import { corruptionOptions, trainOptions } from "../run/corruption.ts"
import { readTrainSnapshot, writeTrainCheckpoint } from "../run/runCheckpoint.ts"
import { trainingBatches } from "../run/trainingData.ts"
import { processOf } from "../run/sampling.ts"
import { encoderLayer, tokenizerLayer } from "../run/encoder.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import { checkpoint } from "../streams/checkpoint.ts"
import { corrupt } from "../streams/corrupt.ts"
import { metrics } from "../streams/metrics.ts"
import { selfCondition } from "../streams/selfCondition.ts"
import { type StepMetrics, train } from "../streams/train.ts"
import { report } from "./progress.ts"
import { type TrainWatch, trainWatch } from "./trainWatch.ts"

/** What a finished run did. */
export interface TrainSummary {
  /** Steps of the whole run, those before a resume included. */
  readonly steps: number
  /** Of this process, held-out losses included. */
  readonly seconds: number
  readonly tokensPerSecond: number
  readonly checkpoint: string
  readonly heldOutBefore?: number
  readonly heldOutAfter?: number
}

/** A run file and whether to go on from its latest checkpoint. */
export interface TrainRequest {
  readonly run: RunConfig.RunConfig
  readonly resume: boolean
}

interface Start {
  readonly state: TrainStart
  readonly step: number
  readonly position: PackPosition | undefined
}

/** A new run would mix its checkpoints with those of an earlier one. */
class RunFolderError extends Schema.TaggedError<RunFolderError>()("RunFolderError", { folder: Schema.String, latest: Schema.String }) {
  override get message(): string {
    return `${this.folder} already holds checkpoints (the latest is ${this.latest}). Go on from it with --resume, or give the run another checkpoint.directory.`
  }
}

const refuseUsedFolder = (folder: string) =>
  existsSync(folder)
    ? Effect.flatMap(Checkpoint.list(folder), (found) =>
      found.length === 0 ? Effect.void : Effect.fail(new RunFolderError({ folder, latest: found.at(-1)!.name })))
    : Effect.void

/** Initial weights, or the latest checkpoint of the run's folder. */
const startOf = Effect.fnUntraced(function*({ resume, run }: TrainRequest) {
  const { model: config, optimizer } = run
  if (!resume) yield* refuseUsedFolder(run.checkpoint.directory)
  if (!resume) return { state: { config, optimizer, from: initialParameters(config, keyed(run.seed)) }, step: 0, position: undefined } as Start
  const latest = yield* Checkpoint.read(run.checkpoint.directory)
  const { resume: position, snapshot: from } = yield* readTrainSnapshot(latest, run)
  yield* report(`resuming at step ${latest.step} of ${latest.path}`)
  return { state: { config, optimizer, from }, step: latest.step, position } as Start
})

const saver = (run: RunConfig.RunConfig, watch: TrainWatch, last: Ref.Ref<string>) => ({ resume }: StepMetrics) =>
  Effect.gen(function*() {
    yield* watch.sync
    const written = yield* writeTrainCheckpoint(run, { snapshot: snapshot(yield* TrainState), resume })
    yield* Ref.set(last, written.path)
  })

const runFrom = Effect.fnUntraced(function*({ run }: TrainRequest, start: Start) {
  const total = run.optimizer.steps * run.optimizer.gradientAccumulation
  const started = yield* Clock.currentTimeMillis
  const watch = yield* trainWatch(run, start.step, total)
  const heldOutBefore = yield* watch.heldOut(start.step)
  const last = yield* Ref.make<string>(run.checkpoint.directory)
  const tokens = yield* trainingBatches(run, { from: start.position }).pipe(
    Stream.take(Math.max(0, total - start.step)),
    corrupt({ ...corruptionOptions(run), source: keyed(run.seed) }),
    selfCondition,
    train(trainOptions(run)),
    metrics(watch),
    checkpoint({ every: run.checkpoint.every, write: saver(run, watch, last), step: ({ step }) => step }),
    Stream.runFold(() => 0, (sum, { tokens }) => sum + tokens)
  )
  const heldOutAfter = yield* watch.heldOut(total)
  const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
  return {
    steps: total,
    seconds,
    tokensPerSecond: tokens / Math.max(seconds, 1e-3),
    checkpoint: yield* Ref.get(last),
    ...(heldOutBefore === undefined ? {} : { heldOutBefore }),
    ...(heldOutAfter === undefined ? {} : { heldOutAfter })
  } as TrainSummary
})

/** Trains a run to its last step and says what came of it. */
export const trainRun = Effect.fnUntraced(function*(request: TrainRequest) {
  const start = yield* startOf(request)
  const layers = Layer.mergeAll(TrainState.layer({ ...start.state, process: processOf(request.run) }), encoderLayer(request.run), tokenizerLayer(request.run))
  return yield* Effect.scoped(runFrom(request, start)).pipe(Effect.provide(layers))
})

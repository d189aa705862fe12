/**
 * The steps of a run, whatever prepares its batches: data, training, progress, held-out loss and checkpoints.
 */
import { Clock, Effect, Ref, Stream } from "effect"
import { existsSync } from "node:fs"
import { Checkpoint } from "../io/index.ts"
import { snapshot, TrainState } from "../model/TrainState.ts"
import { trainOptions } from "../run/corruption.ts"
import type { PlannedRun } from "../run/plan.ts"
import { writeTrainCheckpoint } from "../run/runCheckpoint.ts"
import { trainingBatches } from "../run/trainingData.ts"
import { checkpoint } from "../streams/checkpoint.ts"
import { metrics } from "../streams/metrics.ts"
import type { LatentBatch, PackPosition } from "../streams/Sequence.ts"
import type { Stage } from "../streams/Stage.ts"
import { type StepMetrics, train, type TrainableBatch } from "../streams/train.ts"
import { RunFolderError } from "./errors.ts"
import { type HeldOutLoss, type TrainWatch, trainWatch } from "./trainWatch.ts"

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

/** A run, where it stands, and what its steps are made of. */
export interface TrainCourse<E1, R1, E2, R2> {
  readonly run: PlannedRun
  /** Batches that were trained on before. */
  readonly step: number
  /** Where the data goes on; absent at its start. */
  readonly position: PackPosition | undefined
  /** From latents to what `train` takes. */
  readonly prepare: Stage<LatentBatch, TrainableBatch, E1, R1>
  readonly heldOutLoss: HeldOutLoss<E2, R2>
}

/** Fails if `folder`, which the run file names under `key`, holds checkpoints. */
export const refuseUsedFolder = (folder: string, key: string) =>
  existsSync(folder)
    ? Effect.flatMap(Checkpoint.list(folder), (found) =>
      found.length === 0 ? Effect.void : Effect.fail(new RunFolderError({ folder, latest: found.at(-1)!.name, key })))
    : Effect.void

const saver = (run: PlannedRun, watch: Pick<TrainWatch, "sync">, last: Ref.Ref<string>) => ({ resume }: StepMetrics) =>
  Effect.gen(function*() {
    yield* watch.sync
    const written = yield* writeTrainCheckpoint(run, { snapshot: snapshot(yield* TrainState), resume })
    yield* Ref.set(last, written.path)
  })

/** Batches of a run from first to last step, those of one update counted singly. */
export const batchesOf = ({ optimizer }: PlannedRun): number => optimizer.steps * optimizer.gradientAccumulation

/** Trains the state in scope to the run's last step and says what came of it. */
export const trainSteps = Effect.fnUntraced(function*<E1, R1, E2, R2>({ heldOutLoss, position, prepare, run, step }: TrainCourse<E1, R1, E2, R2>) {
  const total = batchesOf(run)
  const started = yield* Clock.currentTimeMillis
  const watch = yield* trainWatch(run, step, total, heldOutLoss)
  const heldOutBefore = yield* watch.heldOut(step)
  const last = yield* Ref.make<string>(run.checkpoint.directory)
  const tokens = yield* prepare(Stream.take(trainingBatches(run, { from: position }), Math.max(0, total - step))).pipe(
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

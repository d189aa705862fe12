/**
 * The steps of a run, whatever prepares its batches: data, training, progress, held-out loss and checkpoints.
 */
import { Clock, Effect, Stream } from "effect"
import { existsSync } from "node:fs"
import { Checkpoint, type RunLock } from "../io/index.ts"
import { anywhere } from "../model/Agreement.ts"
import { Collective, PeerLostError } from "../model/Collective.ts"
import { lazySnapshot } from "../model/TrainState.ts"
import { trainOptions } from "../run/corruption.ts"
import type { Fingerprints } from "../run/fingerprints.ts"
import type { PlannedRun } from "../run/plan.ts"
import { refuseChanges, runChanges } from "../run/runChanges.ts"
import { writeTrainCheckpoint } from "../run/runCheckpoint.ts"
import { requireSameState, shareState } from "../run/sharedRun.ts"
import { trainingBatches } from "../run/trainingData.ts"
import { positionOf, type TrainingFile, trainingFiles } from "../run/trainingFiles.ts"
import { checkpoint } from "../streams/checkpoint.ts"
import { DivergedError } from "../streams/DivergedError.ts"
import { endingOnInterruption } from "../streams/endingOnInterruption.ts"
import { endingTogether } from "../streams/endingTogether.ts"
import { metrics } from "../streams/metrics.ts"
import type { LatentBatch, PackPosition } from "../streams/Sequence.ts"
import type { Stage } from "../streams/Stage.ts"
import { type StepMetrics, train, type TrainableBatch } from "../streams/train.ts"
import { RunFolderError } from "./errors.ts"
import { report } from "./progress.ts"
import { rollBack, type TrainPosition } from "./rollback.ts"
import { type HeldOutLoss, silentWatch, trainWatch } from "./trainWatch.ts"

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
export interface TrainCourse<E1, R1, E2, R2> extends TrainPosition {
  readonly run: PlannedRun
  readonly fingerprints: Fingerprints
  /** Held as long as the run takes steps. */
  readonly lock: RunLock
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

/** Refuses to go on with a run that has changed since its checkpoint; where that is accepted, says what has. */
export const checkChanges = Effect.fnUntraced(function*(latest: Checkpoint.Checkpoint, run: PlannedRun, now: Fingerprints, accepted: boolean) {
  if (!accepted) return yield* refuseChanges(latest, run, now)
  yield* Effect.forEach(yield* runChanges(latest, run, now), (change) => report(`changed: ${change}`), { discard: true })
})

/** Batches of a run from first to last step, those of one update counted singly. */
export const batchesOf = ({ optimizer }: PlannedRun): number => optimizer.steps * optimizer.gradientAccumulation

/** What the legs of a run add up to. */
interface Progress {
  readonly files: ReadonlyArray<TrainingFile>
  tokens: number
  /** The latest checkpoint, or where it will be. */
  checkpoint: string
  /** Its step; undefined where there is none yet. */
  saved: number | undefined
  /** The last step that was taken, of this leg. */
  last: StepMetrics | undefined
  /** Before the first step of the first leg, and after the last. */
  heldOutBefore?: number | undefined
  heldOutAfter?: number | undefined
}

/** Writes what the run needs to go on from here; in a group, rank 0 does. */
const save = Effect.fnUntraced(function*<E1, R1, E2, R2>(course: TrainCourse<E1, R1, E2, R2>, progress: Progress, resume: PackPosition | undefined, heldOutLoss?: number) {
  const { fingerprints, lock, run } = course
  yield* lock.check
  const data = positionOf(progress.files, resume?.documents ?? 0, run.data.shuffleWindow)
  const { path, step } = yield* writeTrainCheckpoint(run, { snapshot: yield* lazySnapshot, resume, data, fingerprints, heldOutLoss })
  progress.checkpoint = path
  progress.saved = step
})

const interrupted = ({ checkpoint, saved }: Progress) =>
  Effect.flatMap(Collective, ({ rank }) => rank !== 0 ? Effect.void : report(saved === undefined ? "interrupted before there was anything to save" : `interrupted; go on from ${checkpoint} with --resume`))

/** What was trained since the last checkpoint is kept, although the group is broken: no step is taken by halves. */
const keepLast = <E1, R1, E2, R2>(course: TrainCourse<E1, R1, E2, R2>, progress: Progress) => {
  const { last } = progress
  if (last === undefined || last.step === progress.saved) return Effect.void
  return save(course, progress, last.resume).pipe(
    Effect.andThen(Effect.suspend(() => report(`step ${last.step} is saved in ${progress.checkpoint}`))),
    Effect.catch((error) => report(`step ${last.step} could not be saved: ${error.message}`))
  )
}

/** Takes the steps from `at` on; an interruption of any process ends them after the one in hand, which is saved. */
const leg = Effect.fnUntraced(function*<E1, R1, E2, R2>(course: TrainCourse<E1, R1, E2, R2>, at: TrainPosition, progress: Progress) {
  const { heldOutLoss, prepare, run } = course
  const total = batchesOf(run)
  const { rank, size: count } = yield* Collective
  const watch = rank === 0 ? yield* trainWatch(run, at.step, total, heldOutLoss) : silentWatch
  progress.last = undefined
  const before = yield* watch.heldOut(at.step)
  progress.heldOutBefore ??= before
  const write = Effect.fnUntraced(function*({ resume, step }: StepMetrics) {
    yield* requireSameState
    if (rank !== 0) return void (progress.saved = step)
    // Where an interruption ends is no place of the run: its log must not show it.
    const scheduled = step % run.checkpoint.every === 0 || step === total
    const loss = run.checkpoint.keepBest > 0 && scheduled ? yield* watch.loggedHeldOut(step) : undefined
    yield* watch.sync
    yield* save(course, progress, resume, loss)
  })
  yield* endingOnInterruption((here) =>
    prepare(Stream.take(trainingBatches(run, { from: at.position, share: { rank, count } }), Math.max(0, total - at.step))).pipe(
      here,
      endingTogether,
      train(trainOptions(run)),
      Stream.tap((step) => Effect.sync(() => void (progress.last = step))),
      metrics(watch),
      checkpoint({ every: run.checkpoint.every, write, step: ({ step }) => step }),
      Stream.runForEach(({ tokens }) => Effect.sync(() => void (progress.tokens += tokens)))
    )
  ).pipe(
    Effect.tapError((error) => error instanceof PeerLostError && rank === 0 ? keepLast(course, progress) : Effect.void),
    Effect.onInterrupt(() => Effect.andThen(interrupted(progress), Effect.ignore(anywhere(true))))
  )
  if (yield* anywhere(false)) {
    yield* interrupted(progress)
    return yield* Effect.interrupt
  }
  progress.heldOutAfter = yield* watch.heldOut(total)
}, Effect.scoped)

/** Rollbacks to one checkpoint, after which it is that checkpoint and not the data. */
const mostRollbacks = 3

const isDivergence = (error: unknown): error is DivergedError => error instanceof DivergedError

/** All legs: one, and one more for each rollback. */
const legs = Effect.fnUntraced(function*<E1, R1, E2, R2>(course: TrainCourse<E1, R1, E2, R2>, progress: Progress) {
  const { onDivergence } = course.run.optimizer
  const { rank } = yield* Collective
  let at: TrainPosition = course
  let [back, count]: [number | undefined, number] = [undefined, 0]
  for (;;) {
    const ended = yield* leg(course, at, progress).pipe(Effect.as(undefined), Effect.catchIf(isDivergence, (error) => Effect.succeed(error)))
    if (ended === undefined) return
    if (onDivergence !== "rollback" || (progress.saved === back && count === mostRollbacks)) return yield* ended
    ;[back, count] = [progress.saved, progress.saved === back ? count + 1 : 1]
    at = yield* shareState(rank === 0 ? yield* rollBack(course.run, ended) : at)
  }
})

/** Trains the state in scope to the run's last step and says what came of it. */
export const trainSteps = Effect.fnUntraced(function*<E1, R1, E2, R2>(wanted: TrainCourse<E1, R1, E2, R2>) {
  const course: TrainCourse<E1, R1, E2, R2> = { ...wanted, ...(yield* shareState(wanted)) }
  yield* requireSameState
  const { rank } = yield* Collective
  const { run, step } = course
  const started = yield* Clock.currentTimeMillis
  const files = yield* trainingFiles(run.data.train)
  const progress: Progress = { files, tokens: 0, checkpoint: run.checkpoint.directory, saved: step > 0 ? step : undefined, last: undefined }
  // There must be something to go back to.
  if (run.optimizer.onDivergence === "rollback" && step === 0) {
    progress.saved = 0
    if (rank === 0) yield* save(course, progress, course.position)
  }
  yield* legs(course, progress)
  const { heldOutAfter, heldOutBefore } = progress
  const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
  return {
    steps: batchesOf(run),
    seconds,
    tokensPerSecond: progress.tokens / Math.max(seconds, 1e-3),
    checkpoint: progress.checkpoint,
    ...(heldOutBefore === undefined ? {} : { heldOutBefore }),
    ...(heldOutAfter === undefined ? {} : { heldOutAfter })
  } as TrainSummary
})

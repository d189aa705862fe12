/**
 * A training run from its run file.
 */
import { Effect, Layer } from "effect"
import { keyed } from "../flow/Random.ts"
import { acquireRunLock, Checkpoint, type RunConfig, type RunLock } from "../io/index.ts"
import { Collective } from "../model/Collective.ts"
import { initialParameters } from "../model/Initialization.ts"
import { TrainState, type TrainStart } from "../model/TrainState.ts"
import { corruptionOptions } from "../run/corruption.ts"
import { encoderLayer, tokenizerLayer } from "../run/encoder.ts"
import { type Fingerprints, fingerprints } from "../run/fingerprints.ts"
import { heldOutBatches, heldOutLosses } from "../run/heldOut.ts"
import { type PlannedRun, planRun } from "../run/plan.ts"
import { readTrainSnapshot } from "../run/runCheckpoint.ts"
import { processOf } from "../run/sampling.ts"
import { requireSameRun } from "../run/sharedRun.ts"
import { corrupt } from "../streams/corrupt.ts"
import { selfCondition } from "../streams/selfCondition.ts"
import { compose } from "../streams/Stage.ts"
import { report } from "./progress.ts"
import type { TrainPosition } from "./rollback.ts"
import { checkChanges, refuseUsedFolder, trainSteps } from "./trainSteps.ts"

/** A run file, and how to begin. */
export interface TrainRequest {
  readonly run: RunConfig.RunConfig
  /** Go on from the latest checkpoint. */
  readonly resume: boolean
  /** Go on although the run has changed since. */
  readonly acceptChanges?: boolean
}

interface Start extends TrainPosition {
  readonly state: TrainStart
}

const freshStart = ({ model: config, optimizer, seed }: PlannedRun): Start =>
  ({ state: { config, optimizer, from: () => initialParameters(config, keyed(seed)) }, step: 0, position: undefined })

/** Initial weights, or the latest checkpoint of the run's folder. */
const startOf = Effect.fnUntraced(function*({ acceptChanges = false, resume }: TrainRequest, run: PlannedRun, now: Fingerprints) {
  const { model: config, optimizer } = run
  if (!resume) yield* refuseUsedFolder(run.checkpoint.directory, "checkpoint.directory")
  if (!resume) return freshStart(run)
  const latest = yield* Checkpoint.read(run.checkpoint.directory)
  yield* checkChanges(latest, run, now, acceptChanges)
  const { resume: position, snapshot: from } = yield* readTrainSnapshot(latest, run)
  yield* report(`resuming at step ${latest.step} of ${latest.path}`)
  return { state: { config, optimizer, from }, step: latest.step, position } as Start
})

const runFrom = Effect.fnUntraced(function*(run: PlannedRun, { position, step }: Start, fingerprints: Fingerprints, lock: RunLock) {
  const heldOut = (yield* Collective).rank === 0 ? yield* heldOutBatches(run) : []
  return yield* trainSteps({
    run,
    step,
    position,
    fingerprints,
    lock,
    prepare: compose(corrupt({ ...corruptionOptions(run), source: keyed(run.seed) }), selfCondition),
    heldOutLoss: heldOut.length === 0 ? undefined : heldOutLosses(heldOut)
  })
})

/** Rank 0 writes to the run's folder, so it holds the lock; the others have nothing to write. */
const lockOf = (folder: string, rank: number) => rank === 0 ? acquireRunLock(folder) : Effect.succeed<RunLock>({ check: Effect.void })

/** The run with its tokenizer in scope and its folder locked. A rank that only helps starts afresh, and is told the rest. */
const lockedRun = Effect.fnUntraced(function*(request: TrainRequest, run: PlannedRun) {
  const { rank } = yield* Collective
  const lock = yield* lockOf(run.checkpoint.directory, rank)
  const now = yield* fingerprints(run)
  yield* requireSameRun(run, now)
  const start = rank === 0 ? yield* startOf(request, run, now) : freshStart(run)
  const layers = Layer.mergeAll(TrainState.layer({ ...start.state, process: processOf(run) }), encoderLayer(run))
  return yield* Effect.scoped(runFrom(run, start, now, lock)).pipe(Effect.provide(layers))
}, Effect.scoped)

/** Trains a run to its last step and says what came of it. */
export const trainRun = Effect.fnUntraced(function*(request: TrainRequest) {
  const run = yield* planRun(request.run)
  return yield* lockedRun(request, run).pipe(Effect.provide(tokenizerLayer(run)))
})

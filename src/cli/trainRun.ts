/**
 * A training run from its run file.
 */
import { Effect, Layer } from "effect"
import { keyed } from "../flow/Random.ts"
import { Checkpoint, type RunConfig } from "../io/index.ts"
import { initialParameters } from "../model/Initialization.ts"
import { TrainState, type TrainStart } from "../model/TrainState.ts"
import { corruptionOptions } from "../run/corruption.ts"
import { encoderLayer, tokenizerLayer } from "../run/encoder.ts"
import { heldOutBatches, heldOutLosses } from "../run/heldOut.ts"
import { type PlannedRun, planRun } from "../run/plan.ts"
import { readTrainSnapshot } from "../run/runCheckpoint.ts"
import { processOf } from "../run/sampling.ts"
import { corrupt } from "../streams/corrupt.ts"
import { selfCondition } from "../streams/selfCondition.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import { compose } from "../streams/Stage.ts"
import { report } from "./progress.ts"
import { refuseUsedFolder, trainSteps } from "./trainSteps.ts"

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

/** Initial weights, or the latest checkpoint of the run's folder. */
const startOf = Effect.fnUntraced(function*({ resume, run }: TrainRequest) {
  const { model: config, optimizer } = run
  if (!resume) yield* refuseUsedFolder(run.checkpoint.directory, "checkpoint.directory")
  if (!resume) return { state: { config, optimizer, from: () => initialParameters(config, keyed(run.seed)) }, step: 0, position: undefined } as Start
  const latest = yield* Checkpoint.read(run.checkpoint.directory)
  const { resume: position, snapshot: from } = yield* readTrainSnapshot(latest, run)
  yield* report(`resuming at step ${latest.step} of ${latest.path}`)
  return { state: { config, optimizer, from }, step: latest.step, position } as Start
})

const runFrom = Effect.fnUntraced(function*(run: PlannedRun, { position, step }: Start) {
  const heldOut = yield* heldOutBatches(run)
  return yield* trainSteps({
    run,
    step,
    position,
    prepare: compose(corrupt({ ...corruptionOptions(run), source: keyed(run.seed) }), selfCondition),
    heldOutLoss: heldOut.length === 0 ? undefined : heldOutLosses(heldOut)
  })
})

/** Trains a run to its last step and says what came of it. */
export const trainRun = Effect.fnUntraced(function*(request: TrainRequest) {
  const run = yield* planRun(request.run)
  const start = yield* startOf({ ...request, run })
  const layers = Layer.mergeAll(TrainState.layer({ ...start.state, process: processOf(run) }), encoderLayer(run), tokenizerLayer(run))
  return yield* Effect.scoped(runFrom(run, start)).pipe(Effect.provide(layers))
})

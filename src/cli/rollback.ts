/**
 * Back to the last checkpoint of a run whose training diverged, to go on with the data behind the batch that did it.
 */
import { Effect } from "effect"
import { Checkpoint } from "../io/index.ts"
import { Backend } from "../model/Backend.ts"
import { restore, TrainState } from "../model/TrainState.ts"
import type { PlannedRun } from "../run/plan.ts"
import { readTrainSnapshot } from "../run/runCheckpoint.ts"
import type { DivergedError } from "../streams/DivergedError.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import { report } from "./progress.ts"

/** Where a run's steps go on. */
export interface TrainPosition {
  /** Batches that were trained on before. */
  readonly step: number
  /** Where the data goes on; absent at its start. */
  readonly position: PackPosition | undefined
}

/** Puts the state in scope back to the run's latest checkpoint; its data goes on behind the batch that diverged. */
export const rollBack = Effect.fnUntraced(function*(run: PlannedRun, error: DivergedError) {
  const latest = yield* Checkpoint.read(run.checkpoint.directory)
  const { resume, snapshot } = yield* readTrainSnapshot(latest, run)
  const state = yield* TrainState
  yield* (yield* Backend).kernel("restore", () => restore(state, snapshot))
  yield* report(`${error.summary} Back to step ${latest.step} of ${latest.path}; its data goes on behind that batch.`)
  return { step: latest.step, position: error.resume ?? resume } as TrainPosition
})

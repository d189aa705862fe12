/**
 * A training state as a checkpoint, and back.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { Checkpoint, type RunConfig } from "../io/index.ts"
import { parameterShapes } from "../model/ModelConfig.ts"
import type { HostTensor } from "../model/Parameters.ts"
import type { TrainSnapshot } from "../model/TrainState.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import { portable, readSection } from "./weights.ts"

/** Where a run stands: its state, and where its data goes on. */
export interface RunPosition {
  readonly snapshot: TrainSnapshot
  readonly resume?: PackPosition | undefined
}

/** Writes the whole state; the previous checkpoint stays valid until this one is complete. */
export const writeTrainCheckpoint = (run: RunConfig.RunConfig, { resume, snapshot }: RunPosition) => {
  const { directory, keep } = run.checkpoint
  const { accumulated, average, model, moments, step, updates } = snapshot
  return Checkpoint.write(directory, {
    step,
    configuration: portable(run, `${directory}/step`),
    metadata: { updates, ...(resume === undefined ? {} : { resume }) },
    sections: { model, ema: average, optimizer: moments, ...(accumulated.length > 0 ? { accumulated } : {}) }
  }, { keep })
}

/** The shapes of all moments: those of their parameters. */
const momentShapes = (run: RunConfig.RunConfig): ReadonlyMap<string, ReadonlyArray<number>> =>
  new Map(Array.from(parameterShapes(run.model)).flatMap(([name, shape]) =>
    (run.optimizer.kind === "muon" && shape.length === 2 ? ["momentum"] : ["mean", "variance"]).map((part) => [`${part}/${name}`, shape] as const)))

/** Reads a state back, tensor by tensor equal to what was written. */
export const readTrainSnapshot = Effect.fnUntraced(function*(checkpoint: Checkpoint.Checkpoint, run: RunConfig.RunConfig) {
  const shapes = parameterShapes(run.model)
  const accumulated: ReadonlyArray<HostTensor> = checkpoint.sections.includes("accumulated") ? yield* readSection(checkpoint, "accumulated", shapes) : []
  const { resume, updates } = checkpoint.metadata as { readonly updates: number; readonly resume?: PackPosition }
  const snapshot: TrainSnapshot = {
    step: checkpoint.step,
    updates,
    model: yield* readSection(checkpoint, "model", shapes),
    average: yield* readSection(checkpoint, "ema", shapes),
    moments: yield* readSection(checkpoint, "optimizer", momentShapes(run)),
    accumulated
  }
  return { snapshot, resume } satisfies RunPosition
})

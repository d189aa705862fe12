/**
 * A training state as a checkpoint, and back.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { basename } from "node:path"
import { Checkpoint, type RunConfig, type Safetensors } from "../io/index.ts"
import { parameterShapes } from "../model/ModelConfig.ts"
import type { HostTensor } from "../model/Parameters.ts"
import type { TrainSnapshot } from "../model/TrainState.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import type { Fingerprints } from "./fingerprints.ts"
import type { DataPosition } from "./trainingFiles.ts"
import { portable, readSection } from "./weights.ts"

/** Where a run stands: its state, and where its data goes on. */
export interface RunPosition<Tensor = HostTensor> {
  readonly snapshot: TrainSnapshot<Tensor>
  readonly resume?: PackPosition | undefined
  /** Where in the files the next document comes from, for people: `resume` is what a run goes on by. */
  readonly data?: DataPosition
  /** What the run depends on besides its run file. */
  readonly fingerprints?: Fingerprints
  /** Of the weights as they are; it decides which checkpoints are the best. */
  readonly heldOutLoss?: number | undefined
}

const given = (values: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

/** What a run keeps of its checkpoints. */
const retentionOf = ({ checkpoint: { keep, keepBest, keepEvery } }: RunConfig.RunConfig): Checkpoint.WriteOptions =>
  ({ keep, keepBest: { count: keepBest, metric: "heldOutLoss" }, ...(keepEvery === undefined ? {} : { keepEvery }) })

/** Writes the whole state, one tensor after the other; the previous checkpoint stays valid until this one is complete. */
export const writeTrainCheckpoint = <E = never>(run: RunConfig.RunConfig, { data, fingerprints, heldOutLoss, resume, snapshot }: RunPosition<Safetensors.Writable<E>>) => {
  const { directory } = run.checkpoint
  const { accumulated, average, model, moments, step, updates } = snapshot
  return Checkpoint.write(directory, {
    step,
    configuration: portable(run, `${directory}/step`),
    metadata: given({ updates, resume, data: data && { ...data, file: basename(data.file) }, fingerprints, heldOutLoss }),
    sections: { model, ema: average, optimizer: moments, ...(accumulated.length > 0 ? { accumulated } : {}) }
  }, retentionOf(run))
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

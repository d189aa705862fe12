/**
 * Whether a run that is to go on is still the one that its checkpoint belongs to.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import type { Checkpoint, RunConfig } from "../io/index.ts"
import type { Fingerprints } from "./fingerprints.ts"
import { checkpointConfig } from "./weights.ts"

type Run = RunConfig.RunConfig

/** The run file, or what it names, is another than the checkpoint's. */
export class RunChangedError extends Schema.TaggedError<RunChangedError>()("RunChangedError", {
  checkpoint: Schema.String,
  /** One sentence a difference. */
  changes: Schema.NonEmptyArray(Schema.String)
}) {
  override get message(): string {
    return `This is not the run that ${this.checkpoint} was written by: ${this.changes.join("; ")}. ` +
      "Undo that, or go on all the same with --accept-changes."
  }
}

/** Keys that say where things are, what is reported and kept, or how long to go on: none changes a step. */
const free = new Set([
  "checkpoint", "log", "sample", "extends", "data.heldOut", "data.prefetch", "data.epochs", "optimizer.onDivergence",
  // What these name has a fingerprint.
  "data.train", "encoder.path", "encoder.name", "encoder.revision", "distillation.teacher",
  // What these make is compared.
  "model.preset", "optimizer.baseLearningRate", "optimizer.warmupEpochs", "distillation.stepsPerRound", "distillation.warmupSteps", "distillation.epochsPerRound", "distillation.warmupEpochs",
  "distillation.directory"
])

/** How many steps there will be changes none of the past ones, unless the learning rate falls towards the last. */
const isFree = (place: string, run: Run): boolean =>
  free.has(place) || (place === "optimizer.steps" && run.optimizer.schedule === "constant")

const isSection = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value)

/** The values of a configuration by dotted place. */
const flatten = (value: unknown, prefix: string, run: Run): ReadonlyArray<readonly [string, string]> => {
  if (isFree(prefix, run)) return []
  if (!isSection(value)) return [[prefix, JSON.stringify(value) ?? "absent"]]
  return Object.entries(value).flatMap(([name, inner]) => flatten(inner, prefix === "" ? name : `${prefix}.${name}`, run))
}

/** What differs between two configurations of one run and would change its steps, a sentence each; `was` introduces the value of `before`. */
export const configurationChanges = (before: Run, now: Run, was = "it was"): ReadonlyArray<string> => {
  const [old, current] = [new Map(flatten(before, "", now)), new Map(flatten(now, "", now))]
  const places = [...new Set([...old.keys(), ...current.keys()])]
  return places.filter((place) => old.get(place) !== current.get(place))
    .map((place) => `${place} is ${current.get(place) ?? "absent"}, ${was} ${old.get(place) ?? "absent"}`)
}

const inWords: Readonly<Record<keyof Fingerprints, string>> = {
  data: "the files of data.train are not the same",
  vocabulary: "the tokenizer has another vocabulary",
  encoder: "the encoder has other weights or another name",
  teacher: "the teacher is another checkpoint"
}

/** What differs between the digests of two runs, a sentence each. */
export const fingerprintChanges = (before: Partial<Fingerprints>, now: Fingerprints): ReadonlyArray<string> =>
  (Object.keys(inWords) as Array<keyof Fingerprints>)
    .filter((name) => before[name] !== undefined && before[name] !== now[name])
    .map((name) => inWords[name])

/** Everything that has changed since a checkpoint of the run was written; what it does not record is taken as unchanged. */
export const runChanges = (checkpoint: Checkpoint.Checkpoint, run: Run, now: Fingerprints): Effect.Effect<ReadonlyArray<string>, RunConfig.RunConfigError> =>
  Effect.map(checkpointConfig(checkpoint), (before) => {
    const { fingerprints = {} } = checkpoint.metadata as { readonly fingerprints?: Partial<Fingerprints> }
    return [...configurationChanges(before, run), ...fingerprintChanges(fingerprints, now)]
  })

/** Fails if anything has changed. */
export const refuseChanges = (checkpoint: Checkpoint.Checkpoint, run: Run, now: Fingerprints): Effect.Effect<void, RunChangedError | RunConfig.RunConfigError> =>
  Effect.flatMap(runChanges(checkpoint, run, now), (changes) =>
    changes.length === 0 ? Effect.void : Effect.fail(new RunChangedError({ checkpoint: checkpoint.path, changes: changes as [string, ...Array<string>] })))

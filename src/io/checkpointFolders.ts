/**
 * The folders of a run: one for each checkpoint, and the pointer to the latest.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { join } from "node:path"
import { CheckpointError, damaged, fromDiskError } from "./CheckpointError.ts"
import { readText } from "./checkpointFiles.ts"
import { manifestName } from "./checkpointManifest.ts"
import { attempt } from "./Disk.ts"

/** Name of the pointer file in a run's folder. */
export const latestName = "latest"

const stepPattern = /^step-(\d{8,})(?:-(\d+))?$/

/** A checkpoint folder inside a run's folder; `revision` counts rewrites of one step. */
export interface StepFolder {
  readonly name: string
  readonly step: number
  readonly revision: number
}

/** Name of the folder of a step: `step-00000100`, or `step-00000100-2` for the second writing of that step. */
export const stepName = (step: number, revision = 1): string =>
  `step-${String(step).padStart(8, "0")}${revision > 1 ? `-${revision}` : ""}`

const parseStep = (name: string): StepFolder | undefined => {
  const match = stepPattern.exec(name)
  return match === null ? undefined : { name, step: Number(match[1]), revision: Number(match[2] ?? 1) }
}

/** The checkpoints of a run's folder, oldest first. */
export const list = (runFolder: string): Effect.Effect<ReadonlyArray<StepFolder>, CheckpointError> =>
  attempt("list", runFolder, (disk) => disk.list(runFolder)).pipe(
    Effect.mapError(fromDiskError(runFolder)),
    Effect.map((entries) =>
      entries.filter((entry) => entry.kind === "folder")
        .map((entry) => parseStep(entry.name))
        .filter((step) => step !== undefined)
        .sort((a, b) => a.step - b.step || a.revision - b.revision)
    )
  )

const isFile = (path: string, checkpoint: string) =>
  Effect.map(
    Effect.mapError(attempt("look at", path, (disk) => disk.kind(path)), fromDiskError(checkpoint)),
    (kind) => kind === "file"
  )

const missing = (path: string, detail: string, remedy: string) =>
  new CheckpointError({ path, reason: "missing", detail, remedy })

const pointedTo = (runFolder: string): Effect.Effect<string, CheckpointError> =>
  Effect.gen(function*() {
    const pointer = join(runFolder, latestName)
    const name = (yield* readText(pointer, runFolder)).trim()
    if (parseStep(name) === undefined) return yield* damaged(runFolder, `the file "${latestName}" names no checkpoint`)
    const folder = join(runFolder, name)
    if (yield* isFile(join(folder, manifestName), folder)) return folder
    const others = (yield* list(runFolder)).map((step) => step.name).filter((other) => other !== name)
    return yield* missing(
      runFolder,
      `the latest checkpoint, ${name}, is not there`,
      others.length > 0 ? `name another one (${others.join(", ")})` : "restore it, or start over"
    )
  })

/** The folder of the checkpoint that `path` means: `path` itself, or the latest one of the run below it. */
export const resolve = (path: string): Effect.Effect<string, CheckpointError> =>
  Effect.gen(function*() {
    if (yield* isFile(join(path, manifestName), path)) return path
    if (yield* isFile(join(path, latestName), path)) return yield* pointedTo(path)
    const kind = yield* Effect.mapError(attempt("look at", path, (disk) => disk.kind(path)), fromDiskError(path))
    if (kind !== "folder") return yield* missing(path, "there is no such folder", "check the path")
    // A run stopped between its first checkpoint and the pointer to it has one all the same.
    const last = (yield* list(path)).at(-1)
    if (last !== undefined) return join(path, last.name)
    const detail = `the folder holds no checkpoint (neither ${manifestName} nor ${latestName})`
    return yield* missing(path, detail, "check the path")
  })

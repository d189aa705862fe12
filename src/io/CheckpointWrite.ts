/**
 * Writing checkpoints: at every moment the run's folder holds the previous one, whole, or the new one, whole.
 *
 * The folder is written under a temporary name; every file and the folder are synced; then it is renamed, and only then
 * does the file `latest` point to it. Whatever an interrupted write left behind is removed by the next one.
 *
 * @since 0.1.0
 */
import { Effect, Exit } from "effect"
import { basename, dirname, join } from "node:path"
import { discard, publish, writeAtomically, writeSynced } from "./atomicFile.ts"
import { CheckpointError, fromDiskError, fromSafetensorsError } from "./CheckpointError.ts"
import { latestName, list, type StepFolder, stepName } from "./checkpointFolders.ts"
import { checkRetention, outdated, type Retention } from "./checkpointRetention.ts"
import { isSectionName, manifestName, render, sectionFile } from "./checkpointManifest.ts"
import { attempt } from "./Disk.ts"
import * as Safetensors from "./Safetensors.ts"
import { isTemporaryName, temporaryName } from "./temporaryName.ts"

/** What a checkpoint holds. */
export interface Contents<E = never> {
  /** Optimiser steps done; 0 or more. */
  readonly step: number
  /** Any JSON: what the run was configured with. */
  readonly configuration: unknown
  /** Any JSON values by name: position in the data, losses, versions. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** Tensors by section, such as `model`, `ema`, `optimizer`; each section is a file of its own. Deferred ones are fetched one by one. */
  readonly sections: Readonly<Record<string, Iterable<Safetensors.Writable<E>>>>
}

export type WriteOptions = Retention

/** Where a checkpoint was written and how large it is. */
export interface WrittenCheckpoint {
  readonly path: string
  readonly step: number
  readonly bytes: number
}

const badInput = (path: string, detail: string, remedy: string) =>
  new CheckpointError({ path, reason: "badInput", detail, remedy })

const checkContents = (path: string, contents: Contents<unknown>): Effect.Effect<void, CheckpointError> => {
  if (!Number.isSafeInteger(contents.step) || contents.step < 0) {
    return Effect.fail(badInput(path, `the step is ${contents.step}`, "give a whole number, 0 or more"))
  }
  const wrong = Object.keys(contents.sections).find((name) => !isSectionName(name))
  return wrong === undefined ? Effect.void :
    Effect.fail(badInput(path, `"${wrong}" cannot name a section`, "use small letters, digits and hyphens"))
}

const writeSection = <E>(folder: string, target: string, section: string, tensors: Iterable<Safetensors.Writable<E>>): Effect.Effect<Safetensors.WrittenTensors, CheckpointError | E> => {
  const path = join(folder, sectionFile(section))
  const explain = fromSafetensorsError(target, section)
  // Where a deferred tensor comes from another file, its failure is that file's.
  const isOwn = (error: E | Safetensors.SafetensorsError): error is Safetensors.SafetensorsError =>
    error instanceof Safetensors.SafetensorsError && error.file === path
  return writeSynced(path, fromDiskError(target), (file) =>
    Effect.mapError(Safetensors.writeTo(file, path, tensors), (error) => isOwn(error) ? explain(error) : error))
}

const writeText = (path: string, target: string, text: string) =>
  writeSynced(path, fromDiskError(target), (file) => Effect.mapError(file.append(Buffer.from(text)), fromDiskError(target)))

const fill = <E>(folder: string, target: string, contents: Contents<E>): Effect.Effect<number, CheckpointError | E> =>
  Effect.gen(function*() {
    const { step, configuration, metadata = {}, sections } = contents
    const files: Record<string, Safetensors.WrittenTensors> = {}
    for (const [section, tensors] of Object.entries(sections)) {
      files[section] = yield* writeSection(folder, target, section, tensors)
    }
    const text = yield* render(target, { step, configuration, metadata, files })
    yield* writeText(join(folder, manifestName), target, text)
    yield* Effect.mapError(attempt("sync", folder, (disk) => disk.syncFolder(folder)), fromDiskError(target))
    return Object.values(files).reduce((sum, { bytes }) => sum + bytes, Buffer.byteLength(text))
  })

const makeFolder = (path: string, target: string) =>
  Effect.mapError(attempt("make the folder", path, (disk) => disk.makeFolder(path)), fromDiskError(target))

/** Fills a temporary folder next to `target` and lets `place` move it; removes it if anything fails. */
const inTemporaryFolder = <E>(
  target: string,
  contents: Contents<E>,
  place: (temporary: string) => Effect.Effect<void, CheckpointError>
): Effect.Effect<WrittenCheckpoint, CheckpointError | E> =>
  Effect.acquireUseRelease(
    Effect.sync(() => temporaryName(target)),
    (temporary) =>
      makeFolder(temporary, target).pipe(
        Effect.andThen(fill(temporary, target, contents)),
        Effect.tap(() => place(temporary)),
        Effect.map((bytes) => ({ path: target, step: contents.step, bytes }))
      ),
    (temporary, exit) => Exit.isSuccess(exit) ? Effect.void : discard(temporary)
  )

const removeLeftovers = (runFolder: string): Effect.Effect<void, CheckpointError> =>
  Effect.mapError(attempt("list", runFolder, (disk) => disk.list(runFolder)), fromDiskError(runFolder)).pipe(
    Effect.flatMap((entries) =>
      Effect.forEach(
        entries.filter(({ name }) => isTemporaryName(name)),
        ({ name }) => discard(join(runFolder, name)),
        { discard: true }
      )
    )
  )

// A folder half removed must not look like a checkpoint, so it is renamed first.
const removeStep = (runFolder: string, name: string): Effect.Effect<void> => {
  const path = join(runFolder, name)
  const hidden = temporaryName(path)
  return attempt("rename", path, (disk) => disk.rename(path, hidden)).pipe(
    Effect.andThen(discard(hidden)),
    Effect.ignore
  )
}

// Later steps belong to a branch that the run was taken back from: not counted, and left to their owner.
const retain = (runFolder: string, written: string, step: number, retention: Retention): Effect.Effect<void, CheckpointError> =>
  Effect.gen(function*() {
    const steps = (yield* list(runFolder)).filter((one) => one.step <= step)
    const removed = (yield* outdated(runFolder, steps, retention)).filter(({ name }) => name !== written)
    yield* Effect.forEach(removed, ({ name }) => removeStep(runFolder, name), { discard: true })
  })

const nextRevision = (steps: ReadonlyArray<StepFolder>, step: number): number =>
  1 + Math.max(0, ...steps.filter((one) => one.step === step).map((one) => one.revision))

const pointTo = (runFolder: string, name: string): Effect.Effect<void, CheckpointError> =>
  writeAtomically(join(runFolder, latestName), fromDiskError(runFolder), (file) =>
    Effect.mapError(file.append(Buffer.from(`${name}\n`)), fromDiskError(runFolder)))

/**
 * Writes `runFolder/step-…`, points `latest` to it, and removes those that `options` does not keep.
 *
 * **Details** A failure at any moment leaves the previous checkpoint in place and `latest` pointing to it. Steps that a
 * resumed run does again get a new folder; the older one of the same step goes once `latest` points to the newer.
 */
export const write = <E = never>(
  runFolder: string,
  contents: Contents<E>,
  options: WriteOptions = {}
): Effect.Effect<WrittenCheckpoint, CheckpointError | E> =>
  Effect.gen(function*() {
    yield* checkContents(runFolder, contents)
    yield* checkRetention(runFolder, options)
    yield* makeFolder(runFolder, runFolder)
    yield* removeLeftovers(runFolder)
    const target = join(runFolder, stepName(contents.step, nextRevision(yield* list(runFolder), contents.step)))
    const written = yield* inTemporaryFolder(target, contents, (temporary) =>
      Effect.mapError(publish(temporary, target), fromDiskError(target)))
    yield* pointTo(runFolder, basename(target))
    yield* retain(runFolder, basename(target), contents.step, options)
    return written
  })

const replaceFolder = (temporary: string, target: string): Effect.Effect<void, CheckpointError> => {
  const aside = temporaryName(target)
  return attempt("look at", target, (disk) => disk.kind(target)).pipe(
    Effect.flatMap((kind) =>
      kind === "missing" ? publish(temporary, target) : attempt("rename", target, (disk) => disk.rename(target, aside)).pipe(
        Effect.andThen(publish(temporary, target).pipe(
          Effect.tapError(() => Effect.ignore(attempt("restore", target, (disk) => disk.rename(aside, target))))
        )),
        Effect.andThen(discard(aside))
      )
    ),
    Effect.mapError(fromDiskError(target)),
    Effect.uninterruptible
  )
}

/**
 * Writes one checkpoint as the folder `path` itself, for shipping: no `step-…`, no `latest`.
 *
 * **Details** Give the tensors of section `model` with `dtype: "F16"` to halve the size; {@link read} reads both. A
 * folder already there is replaced only by a complete one.
 */
export const writeFolder = <E = never>(path: string, contents: Contents<E>): Effect.Effect<WrittenCheckpoint, CheckpointError | E> =>
  Effect.gen(function*() {
    yield* checkContents(path, contents)
    yield* makeFolder(dirname(path), path)
    return yield* inTemporaryFolder(path, contents, (temporary) => replaceFolder(temporary, path))
  })

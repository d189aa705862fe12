/**
 * Files that are either whole or absent.
 *
 * A file is written under a temporary name in its own folder, synced, and renamed over the target; then the folder is
 * synced. Whatever goes wrong before the rename (an error, an interruption, a kill) the old target stays as it was.
 *
 * @since 0.1.0
 */
import { Effect, Exit } from "effect"
import { dirname } from "node:path"
import { attempt, type DiskError, type DiskFile } from "./Disk.ts"
import { temporaryName } from "./temporaryName.ts"

/** Renames a synced temporary file or folder over its target and makes the rename durable. */
export const publish = (temporary: string, target: string): Effect.Effect<void, DiskError> =>
  attempt("rename the finished file to", target, (disk) => disk.rename(temporary, target)).pipe(
    Effect.andThen(attempt("sync the folder of", target, (disk) => disk.syncFolder(dirname(target))))
  )

/** What {@link writeAtomically} hands to its body. */
export interface AtomicFile {
  /** Appends bytes. */
  readonly append: (bytes: Uint8Array) => Effect.Effect<void, DiskError>
  /** Bytes appended so far. */
  readonly written: () => number
}

const appender = (file: DiskFile, path: string): AtomicFile => {
  let written = 0
  return {
    append: (bytes) =>
      Effect.map(attempt("write to", path, () => file.append(bytes)), () => {
        written += bytes.length
      }),
    written: () => written
  }
}

/**
 * Writes and syncs a file that nobody else sees yet, and closes it whatever happens.
 *
 * `explain` turns a disk failure into the error of the format being written.
 */
export const writeSynced = <A, E, R, E2>(
  path: string,
  explain: (error: DiskError) => E2,
  body: (file: AtomicFile) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | E2, R> =>
  Effect.acquireUseRelease(
    Effect.mapError(attempt("create", path, (disk) => disk.openToWrite(path)), explain),
    (file) =>
      Effect.tap(body(appender(file, path)), () => Effect.mapError(attempt("sync", path, () => file.sync()), explain)),
    (file) => Effect.promise(() => file.close().catch(() => undefined))
  )

/**
 * Writes a file so that `path` is replaced only by a complete, synced one.
 *
 * If the body fails or is interrupted the temporary file is removed and `path` is left as it was.
 */
export const writeAtomically = <A, E, R, E2>(
  path: string,
  explain: (error: DiskError) => E2,
  body: (file: AtomicFile) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | E2, R> =>
  Effect.acquireUseRelease(
    makeFolder(dirname(path)).pipe(Effect.as(temporaryName(path)), Effect.mapError(explain)),
    (temporary) =>
      Effect.tap(writeSynced(temporary, explain, body), () => Effect.mapError(publish(temporary, path), explain)),
    (temporary, exit) => Exit.isSuccess(exit) ? Effect.void : discard(temporary)
  )

/** Makes a folder and those above it. */
export const makeFolder = (path: string) => attempt("make the folder", path, (disk) => disk.makeFolder(path))

/** Removes a temporary file or folder; a failure to do so is no new error, the next write cleans up. */
export const discard = (path: string): Effect.Effect<void> =>
  Effect.ignore(attempt("remove", path, (disk) => disk.remove(path)))

/**
 * Reading the plain files of a checkpoint: small ones as text, large ones only to hash them.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { type CheckpointError, damaged, fromDiskError } from "./CheckpointError.ts"
import { attempt, type DiskFile } from "./Disk.ts"

const largestText = 64 * 1024 * 1024
const bytesPerRead = 1 << 22

const openFile = (path: string, checkpoint: string) =>
  Effect.acquireRelease(
    Effect.mapError(attempt("open", path, (disk) => disk.openToRead(path)), fromDiskError(checkpoint)),
    (file) => Effect.promise(() => file.close().catch(() => undefined))
  )

const readPart = (file: DiskFile, path: string, into: Uint8Array, position: number, checkpoint: string) =>
  Effect.mapError(attempt("read", path, () => file.read(into, position)), fromDiskError(checkpoint))

/** A small file as text; `checkpoint` is the path for error messages. */
export const readText = (path: string, checkpoint: string): Effect.Effect<string, CheckpointError> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openFile(path, checkpoint)
    if (file.size > largestText) return yield* damaged(checkpoint, `${path} has ${file.size} bytes, far too many`)
    const bytes = new Uint8Array(file.size)
    for (let offset = 0; offset < bytes.length;) {
      const read = yield* readPart(file, path, bytes.subarray(offset), offset, checkpoint)
      if (read === 0) break
      offset += read
    }
    return Buffer.from(bytes).toString("utf8")
  }))

/** Size and sha256 of a file, read a few megabytes at a time. */
export const hashFile = (
  path: string,
  checkpoint: string
): Effect.Effect<{ readonly bytes: number; readonly sha256: string }, CheckpointError> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openFile(path, checkpoint)
    const hash = createHash("sha256")
    const buffer = new Uint8Array(Math.min(bytesPerRead, file.size))
    for (let offset = 0; offset < file.size;) {
      const read = yield* readPart(file, path, buffer, offset, checkpoint)
      if (read === 0) break
      hash.update(buffer.subarray(0, read))
      offset += read
    }
    return { bytes: file.size, sha256: hash.digest("hex") }
  }))

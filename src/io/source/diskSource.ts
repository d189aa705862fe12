/**
 * A file on disk, read in ranges.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { attempt, type DiskError, type DiskFile } from "../Disk.ts"
import { openFile } from "../readRange.ts"
import type { ByteSource } from "./ByteSource.ts"
import { failing, fromDiskError, type SourceError } from "./SourceError.ts"

const windowBytes = 4 << 20

const readExactly = async (path: string, file: DiskFile, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> => {
  const bytes = new Uint8Array(end - begin)
  for (let offset = 0; offset < bytes.length;) {
    const read = await file.read(bytes.subarray(offset), begin + offset).catch((cause: NodeJS.ErrnoException) => {
      throw failing(path)("disk", `could not read ${path} (${cause.code ?? String(cause)})`, "check the disk")
    })
    if (read === 0) throw failing(path)("cutOff", `the file ended at byte ${begin + offset} while it was being read`, "fetch or write the file again")
    offset += read
  }
  return bytes
}

/** Opens a regular file. */
export const openDiskSource = (path: string): Effect.Effect<ByteSource, SourceError, Scope.Scope> =>
  Effect.gen(function*() {
    const kind = yield* attempt("look at", path, (disk) => disk.kind(path))
    if (kind === "other") return yield* failing(path)("unsupported", "this is not a regular file", "check the path")
    const file = yield* openFile(path)
    return { size: file.size, version: String(file.modified), windowBytes, read: (begin, end) => readExactly(path, file, begin, end) } satisfies ByteSource
  }).pipe(Effect.catchTag("DiskError", (error: DiskError) => Effect.fail(fromDiskError(path)(error))))

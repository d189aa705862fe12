/**
 * Random access to a file that stays open: whole ranges, or a typed error.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { attempt, DiskError, type DiskFile } from "./Disk.ts"

const largestRead = 1 << 30

/** Opens a file for reading; it stays open until the surrounding scope closes. */
export const openFile = (path: string): Effect.Effect<DiskFile, DiskError, Scope.Scope> =>
  Effect.acquireRelease(
    attempt("open", path, (disk) => disk.openToRead(path)),
    (file) => Effect.promise(() => file.close().catch(() => undefined))
  )

/** The code of the error for a file that is shorter than it was when it was opened. */
export const endOfFile = "end of file"

const cut = (path: string, position: number) =>
  new DiskError({ operation: "read", path, code: endOfFile, remedy: `the file ends at byte ${position}: fetch or write it again` })

/** The bytes from `begin` to `end`, which must lie inside the file: the caller has checked both against its size. */
export const readRange = (
  file: DiskFile,
  path: string,
  begin: number,
  end: number
): Effect.Effect<Uint8Array<ArrayBuffer>, DiskError> =>
  Effect.gen(function*() {
    const bytes = new Uint8Array(end - begin)
    for (let offset = 0; offset < bytes.length;) {
      const into = bytes.subarray(offset, offset + largestRead)
      const read = yield* attempt("read", path, () => file.read(into, begin + offset))
      if (read === 0) return yield* cut(path, begin + offset)
      offset += read
    }
    return bytes
  })

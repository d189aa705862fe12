/**
 * What tells one parquet file from another: its contents, not its path or its dates.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { stat } from "node:fs/promises"
import { attempt, type DiskFile } from "./Disk.ts"
import { fromDiskError, type ParquetError } from "./ParquetError.ts"
import { openFile, readRange } from "./readRange.ts"

/** Length of the footer and the closing mark. */
const tailLength = 8

const footerOf = (file: DiskFile, path: string) =>
  Effect.gen(function*() {
    const tail = yield* readRange(file, path, Math.max(0, file.size - tailLength), file.size)
    const length = new DataView(tail.buffer).getUint32(0, true) + tailLength
    return yield* readRange(file, path, Math.max(0, file.size - length), file.size)
  })

/**
 * sha256 over size and footer, hexadecimal. The footer holds the place, the sizes and the statistics of every column
 * chunk; values that change without changing any of these are left to a digest of the columns. The file has been opened
 * before, so it ends in a footer.
 */
export const contentKey = (path: string): Effect.Effect<string, ParquetError> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openFile(path)
    return createHash("sha256").update(`${file.size}:`).update(yield* footerOf(file, path)).digest("hex")
  })).pipe(Effect.mapError(fromDiskError(path)))

/** When a file was last changed, milliseconds since 1970. */
export const modified = (path: string): Effect.Effect<number, ParquetError> =>
  Effect.mapError(attempt("look at", path, () => stat(path)), fromDiskError(path)).pipe(Effect.map(({ mtimeMs }) => mtimeMs))

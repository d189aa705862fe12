/**
 * What tells one parquet file from another: its contents, not its path or its dates.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { stat } from "node:fs/promises"
import { attempt } from "./Disk.ts"
import { footerBytes } from "./parquetFooter.ts"
import { fromDiskError, type ParquetError } from "./ParquetError.ts"
import { openFile } from "./readRange.ts"

/**
 * sha256 over size and footer, hexadecimal. The footer holds the place, the sizes and the statistics of every column
 * chunk; values that change without changing any of these are left to a digest of the columns. The file has been opened
 * before, so it ends in a footer.
 */
export const contentKey = (path: string): Effect.Effect<string, ParquetError> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openFile(path)
    return createHash("sha256").update(`${file.size}:`).update(yield* footerBytes(file, path)).digest("hex")
  })).pipe(Effect.mapError(fromDiskError(path)))

/** When a file was last changed, milliseconds since 1970. */
export const modified = (path: string): Effect.Effect<number, ParquetError> =>
  Effect.mapError(attempt("look at", path, () => stat(path)), fromDiskError(path)).pipe(Effect.map(({ mtimeMs }) => mtimeMs))

/**
 * When a parquet file was last changed: the cheap question before the dear one.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { stat } from "node:fs/promises"
import { attempt } from "./Disk.ts"
import { fromDiskError, type ParquetError } from "./ParquetError.ts"

/** When a file was last changed, milliseconds since 1970. */
export const modified = (path: string): Effect.Effect<number, ParquetError> =>
  Effect.mapError(attempt("look at", path, () => stat(path)), fromDiskError(path)).pipe(Effect.map(({ mtimeMs }) => mtimeMs))

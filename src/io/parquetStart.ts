/**
 * Which files are read, and from which row on.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { expand } from "./glob.ts"
import { fromDiskError, fromSourceError, ParquetError } from "./ParquetError.ts"
import { open, type ParquetFile } from "./ParquetFile.ts"

/** Where a row stands: `row` counts from 0 within the file, over all row groups. */
export interface Position {
  readonly file: string
  readonly rowGroup: number
  readonly row: number
}

/** The position just behind `position`: where a reader that has seen that row goes on. */
export const after = (position: Position): Position => ({
  file: position.file,
  rowGroup: position.rowGroup,
  row: position.row + 1
})

/** The parquet files that paths, folders and patterns name, sorted within each pattern, each once. */
export const files = (pattern: string | ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, ParquetError> => {
  const patterns = typeof pattern === "string" ? [pattern] : pattern
  return Effect.forEach(patterns, (one) =>
    Effect.mapError(expand(one, ".parquet"), (error) => error._tag === "DiskError" ? fromDiskError(one)(error) : fromSourceError(one)(error)).pipe(
      Effect.filterOrFail((found) => found.length > 0, () => noFiles(one))
    )).pipe(
      Effect.map((found) => [...new Set(found.flat())]),
      Effect.filterOrFail((found) => found.length > 0, () => noFiles("(no pattern)"))
    )
}

const noFiles = (pattern: string) =>
  new ParquetError({
    file: pattern,
    reason: "noFiles",
    detail: "no parquet file is there",
    remedy: "check the path; a pattern may use *, **, ?, [a-z] and {a,b}, a folder means every .parquet file below it"
  })

/** The files still to read, and the row of the first of them to begin at. */
export interface Start {
  readonly files: ReadonlyArray<string>
  readonly position?: Position
}

const badStart = (file: string, row: number, detail: string, remedy: string) =>
  new ParquetError({ file, reason: "badStart", row, detail, remedy })

const startAtPosition = (found: ReadonlyArray<string>, position: Position): Effect.Effect<Start, ParquetError> => {
  const index = found.indexOf(position.file)
  return index >= 0 ? Effect.succeed({ files: found.slice(index), position }) : Effect.fail(badStart(
    position.file,
    position.row,
    "the row to go on from is in a file that is not among the input",
    "give the same input as before, or start over"
  ))
}

/** Passes over whole files by their footers alone. */
const startAfterRows = (found: ReadonlyArray<string>, rows: number): Effect.Effect<Start, ParquetError> =>
  Effect.gen(function*() {
    let left = rows
    for (const [index, file] of found.entries()) {
      const count = (yield* Effect.scoped(open(file))).rows
      if (left < count) return { files: found.slice(index), position: { file, rowGroup: 0, row: left } }
      left -= count
    }
    if (left === 0) return { files: [] }
    const detail = `there are only ${rows - left} rows in all files`
    return yield* badStart(found.at(-1)!, rows, detail, "the input has changed since: start over")
  })

/** Where in these files reading begins. */
export const startOf = (
  found: ReadonlyArray<string>,
  from: Position | number | undefined
): Effect.Effect<Start, ParquetError> => {
  if (from === undefined || from === 0) return Effect.succeed({ files: found })
  if (typeof from !== "number") return startAtPosition(found, from)
  return Number.isSafeInteger(from) && from > 0 ? startAfterRows(found, from) :
    Effect.fail(badStart(found[0]!, 0, `${from} is no number of rows`, "give a whole number, 0 or more"))
}

/** Fails if the file, perhaps changed since, does not reach to where reading should begin. */
export const checkStart = (file: ParquetFile, from: Position) =>
  from.row >= 0 && from.row <= file.rows ? Effect.void : Effect.fail(badStart(
    file.path,
    from.row,
    `the row to go on from is past the end (the file has ${file.rows} rows)`,
    "the file has changed since: start over"
  ))

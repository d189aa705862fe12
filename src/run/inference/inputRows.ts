/**
 * The rows of a row group as tasks take them: a text or token ids, or why there is neither.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { Parquet } from "../../io/index.ts"
import { misfit, toIds } from "../../io/tokenIds.ts"
import type { TextOrIds } from "../../streams/tokenize.ts"
import type { InferenceRequest } from "./request.ts"

/** A row as it stands in its file. */
export interface InputRow {
  readonly row: number
  /** undefined where there is none. */
  readonly input: TextOrIds | undefined
  /** Why there is none. */
  readonly problem?: { readonly reason: "nullValue" | "badRow"; readonly column: string; readonly detail: string }
}

/** The columns that a request reads, in order. */
const readColumns = ({ column }: Pick<InferenceRequest, "column">): ReadonlyArray<string> =>
  column === undefined ? [] : typeof column === "string" ? [column] : column

/** The columns that are read, each found in the file: all text, or all lists of token ids. */
export const requireInput = (request: InferenceRequest, file: Parquet.ParquetFile): Effect.Effect<ReadonlyArray<Parquet.ColumnInfo>, Parquet.ParquetError> =>
  Effect.gen(function*() {
    const columns = yield* Effect.forEach(readColumns(request), (name) => file.column(name))
    const areIds = columns[0]?.isIds ?? false
    return yield* Effect.forEach(columns, (column) => areIds ? Parquet.requireIds(file, column) : Parquet.requireText(file, column))
  })

const isList = (value: unknown): value is ArrayLike<unknown> => Array.isArray(value) || ArrayBuffer.isView(value)

const joinIds = (lists: ReadonlyArray<Int32Array>): Int32Array => {
  const joined = new Int32Array(lists.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const list of lists) {
    joined.set(list, at)
    at += list.length
  }
  return joined
}

/** Turns the values of one row into its input. Ids are those below `vocabulary`. */
const inputOf = (row: number, values: ReadonlyArray<unknown>, columns: ReadonlyArray<Parquet.ColumnInfo>, vocabulary: number): InputRow => {
  const without = (at: number, reason: "nullValue" | "badRow", detail: string): InputRow =>
    ({ row, input: undefined, problem: { reason, detail, column: columns[at]!.name } })
  const missing = values.findIndex((value) => value === null || value === undefined)
  if (missing >= 0) return without(missing, "nullValue", "the value is null")
  if (typeof values[0] === "string") return { row, input: values.length === 1 ? values[0] : values.join(" ") }
  const lists: Array<Int32Array> = []
  for (const [at, list] of values.entries()) {
    const ids = isList(list) ? toIds(list) : undefined
    const wrong = ids === undefined ? misfit(list as ArrayLike<unknown>) : ids.find((id) => id >= vocabulary)
    if (ids === undefined || wrong !== undefined) return without(at, "badRow", `the list holds ${String(wrong)}, which is no token id below ${vocabulary}`)
    lists.push(ids)
  }
  return { row, input: joinIds(lists) }
}

const rowsPerChunk = 256

/** The rows of a row group with their inputs; memory holds a few pages of each column. */
export const inputRows = (
  file: Parquet.ParquetFile,
  group: Parquet.RowGroup,
  columns: ReadonlyArray<Parquet.ColumnInfo>,
  vocabulary: number
): Stream.Stream<InputRow, Parquet.ParquetError> => {
  const rowsOf = (firstRow: number, values: ReadonlyArray<Parquet.Values>): Stream.Stream<InputRow> => {
    const count = values[0]!.length
    const starts = Array.from({ length: Math.ceil(count / rowsPerChunk) }, (_, i) => i * rowsPerChunk)
    const rows = (from: number) =>
      Array.from({ length: Math.min(rowsPerChunk, count - from) }, (_, i) =>
        inputOf(firstRow + from + i, values.map((column) => column[from + i] as unknown), columns, vocabulary))
    return Stream.fromIterable(starts, { chunkSize: 1 }).pipe(Stream.flatMap((from) => Stream.fromIterable(rows(from))))
  }
  return file.readAlongside(group, columns).pipe(
    Stream.mapAccum(() => group.firstRow, (row: number, values) => [row + values[0]!.length, [{ row, values }]] as const),
    Stream.flatMap(({ row, values }) => rowsOf(row, values))
  )
}

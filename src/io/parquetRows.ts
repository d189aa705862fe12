/**
 * From decoded columns to rows: files one after the other, row groups in order, each row with its place.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import type { DecodedArray } from "hyparquet"
import type { ColumnInfo } from "./parquetColumns.ts"
import { ParquetError } from "./ParquetError.ts"
import { open, type ParquetFile, type RowGroup } from "./ParquetFile.ts"
import { checkStart, files, type Position, startOf } from "./parquetStart.ts"

/** Where reading begins, and what happens to parts that cannot be read. */
export interface SourceOptions {
  /**
   * Where to begin instead of at the first row: a row itself (`after` gives the one behind a row already seen), or how
   * many rows to pass over, counted over all files, null rows too.
   */
  readonly from?: Position | number
  /**
   * Called with what is wrong with a file or row group that cannot be read; then it is left out, all of it, and reading
   * goes on. Without it reading fails there. What was asked for wrongly (a missing column, a null) fails in any case.
   */
  readonly onError?: (error: ParquetError) => Effect.Effect<void>
}

/** How rows are made. */
export interface Table<A> {
  readonly columns: ReadonlyArray<ColumnInfo>
  /**
   * The rows from index `from` on of the columns' values; `placeAt` gives an index its place. A row may be left out.
   * Throws a {@link ParquetError}.
   */
  readonly rows: (values: ReadonlyArray<DecodedArray>, from: number, placeAt: (index: number) => Position, count: number) => ReadonlyArray<A>
}

type Prepare<A> = (file: ParquetFile) => Effect.Effect<Table<A>, ParquetError>

// One chunk of a stream is run through `map` as a whole: small enough to hold, large enough to be cheap.
const rowsPerChunk = 128

const chunks = <A>(rows: ReadonlyArray<A>): Stream.Stream<A> =>
  Stream.fromArrays(...Array.from(
    { length: Math.ceil(rows.length / rowsPerChunk) },
    (_, i) => rows.slice(i * rowsPerChunk, (i + 1) * rowsPerChunk)
  ))

const mistakes = new Set<ParquetError["reason"]>(["noFiles", "missingColumn", "wrongType", "nullValue", "badStart", "badRow"])

/** Whether an error is about the data, not about what was asked for. */
export const isDamage = ({ reason }: ParquetError): boolean => !mistakes.has(reason)

/** Pieces of all columns side by side: page by page, or the whole row group. */
const piecesOf = (file: ParquetFile, group: RowGroup, columns: ReadonlyArray<ColumnInfo>, whole: boolean) =>
  whole || columns.length === 0
    ? Stream.fromEffect(Effect.forEach(columns, (column) => file.readColumn(group, column)))
    : file.readAlongside(group, columns)

const rowsOf = <A>(file: ParquetFile, group: RowGroup, firstRow: number, begin: number, values: ReadonlyArray<DecodedArray>, table: Table<A>) =>
  Effect.try({
    try: () => {
      const placeAt = (index: number): Position => ({ file: file.path, rowGroup: group.index, row: begin + index })
      return table.rows(values, Math.max(0, firstRow - begin), placeAt, values[0]?.length ?? group.rows)
    },
    catch: (cause) => cause
  }).pipe(Effect.catch((cause) => cause instanceof ParquetError ? Effect.fail(cause) : Effect.die(cause)))

const groupRows = <A>(file: ParquetFile, group: RowGroup, firstRow: number, table: Table<A>, whole: boolean): Stream.Stream<A, ParquetError> =>
  Stream.suspend(() => {
    let next = group.firstRow
    return piecesOf(file, group, table.columns, whole).pipe(
      Stream.mapEffect((values) => {
        const begin = next
        next += values[0]?.length ?? group.rows
        return rowsOf(file, group, firstRow, begin, values, table)
      }),
      Stream.flatMap(chunks)
    )
  })

const reporting = <A>(onError: SourceOptions["onError"]) => (stream: Stream.Stream<A, ParquetError>): Stream.Stream<A, ParquetError> =>
  onError === undefined ? stream : Stream.catch(stream, (error) =>
    isDamage(error) ? Stream.drain(Stream.fromEffect(onError(error))) : Stream.fail(error))

const fileRows = <A>(path: string, from: Position | undefined, prepare: Prepare<A>, { onError }: SourceOptions): Stream.Stream<A, ParquetError> =>
  Stream.unwrap(Effect.gen(function*() {
    const file = yield* open(path)
    if (from !== undefined) yield* checkStart(file, from)
    const table = yield* prepare(file)
    const firstRow = from?.row ?? 0
    const groups = file.rowGroups.filter((group) => group.firstRow + group.rows > firstRow)
    return Stream.fromIterable(groups, { chunkSize: 1 }).pipe(
      Stream.flatMap((group) => reporting<A>(onError)(groupRows(file, group, firstRow, table, onError !== undefined)))
    )
  })).pipe(reporting<A>(onError))

/** The rows of all files that a pattern names; `prepare` finds the columns in each file and says how rows are made. */
export const allRows = <A>(pattern: string | ReadonlyArray<string>, options: SourceOptions, prepare: Prepare<A>): Stream.Stream<A, ParquetError> =>
  Stream.unwrap(Effect.map(Effect.flatMap(files(pattern), (found) => startOf(found, options.from)), (start) =>
    Stream.fromIterable(start.files, { chunkSize: 1 }).pipe(
      Stream.flatMap((path) => fileRows(path, path === start.position?.file ? start.position : undefined, prepare, options))
    )))

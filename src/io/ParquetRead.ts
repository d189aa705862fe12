/**
 * Parquet files as streams of rows, each with its place, so that reading can go on exactly where it stopped.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { expand } from "./glob.ts"
import { fromDiskError, ParquetError } from "./ParquetError.ts"
import { type ColumnInfo, open, type ParquetFile, requireColumn, requireTextColumn, type RowGroup } from "./ParquetFile.ts"

/** Where a row stands: `row` counts from 0 within the file, over all row groups. */
export interface Position {
  readonly file: string
  readonly rowGroup: number
  readonly row: number
}

/** One value of a text column and its place. */
export interface TextRow extends Position {
  readonly text: string
}

/** A condition, what follows from it, and their place. */
export interface PairRow extends Position {
  readonly condition: string
  readonly target: string
}

/** The chosen columns of one row and its place. */
export interface Row extends Position {
  readonly values: Readonly<Record<string, unknown>>
}

/** What to do with a row whose value is null: fail (and name the row) or leave it out. */
export type NullPolicy = "fail" | "skip"

interface ReadOptions {
  /** Default `"fail"`. */
  readonly nulls?: NullPolicy
  /**
   * Where to begin instead of at the first row: a row itself ({@link after} gives the one behind a row already seen), or
   * how many rows to pass over, counted over all files, null rows too.
   */
  readonly from?: Position | number
}

export interface ReadTextOptions extends ReadOptions {
  /** Name of the text column. */
  readonly column: string
}

export interface ReadPairOptions extends ReadOptions {
  /** Name of the text column that the answer depends on. */
  readonly condition: string
  /** Name of the text column that follows from it. */
  readonly target: string
}

export interface ReadRowsOptions {
  /** Names of top-level columns; all of the first file's when absent. Nulls are passed on as `null`. */
  readonly columns?: ReadonlyArray<string>
  /** As in {@link ReadTextOptions}. */
  readonly from?: Position | number
}

// One chunk of a stream is run through `map` as a whole: small enough to hold, large enough to be cheap.
const rowsPerChunk = 128

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
    Effect.mapError(expand(one, ".parquet"), fromDiskError(one)).pipe(
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

const nullValue = (file: ParquetFile, column: string, rowGroup: number, row: number) =>
  new ParquetError({
    file: file.path,
    reason: "nullValue",
    rowGroup,
    row,
    column,
    detail: "the value is null",
    remedy: `fill it in, or read with nulls: "skip" to leave such rows out`
  })

interface Start {
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
    return yield* badStart(found.at(-1)!, rows, `there are only ${rows - left} rows in all files`, "the input has changed since: start over")
  })

const startOf = (found: ReadonlyArray<string>, from: Position | number | undefined): Effect.Effect<Start, ParquetError> => {
  if (from === undefined || from === 0) return Effect.succeed({ files: found })
  if (typeof from !== "number") return startAtPosition(found, from)
  return Number.isSafeInteger(from) && from > 0 ? startAfterRows(found, from) :
    Effect.fail(badStart(found[0]!, 0, `${from} is no number of rows`, "give a whole number, 0 or more"))
}

const checkStart = (file: ParquetFile, from: Position) =>
  from.row >= 0 && from.row <= file.rows ? Effect.void : Effect.fail(badStart(
    file.path,
    from.row,
    `the row to go on from is past the end (the file has ${file.rows} rows)`,
    "the file has changed since: start over"
  ))

type ReadGroup<A> = (group: RowGroup, firstRow: number) => Effect.Effect<ReadonlyArray<A>, ParquetError>

const chunks = <A>(rows: ReadonlyArray<A>): Stream.Stream<A> =>
  Stream.fromArrays(
    ...Array.from({ length: Math.ceil(rows.length / rowsPerChunk) }, (_, i) => rows.slice(i * rowsPerChunk, (i + 1) * rowsPerChunk))
  )

const fileRows = <A>(
  path: string,
  from: Position | undefined,
  prepare: (file: ParquetFile) => Effect.Effect<ReadGroup<A>, ParquetError>
): Stream.Stream<A, ParquetError> =>
  Stream.unwrap(Effect.gen(function*() {
    const file = yield* open(path)
    if (from !== undefined) yield* checkStart(file, from)
    const readGroup = yield* prepare(file)
    const firstRow = from?.row ?? 0
    const groups = file.rowGroups.filter((group) => group.firstRow + group.rows > firstRow)
    return Stream.fromIterable(groups, { chunkSize: 1 }).pipe(
      Stream.flatMap((group) => Stream.unwrap(Effect.map(readGroup(group, Math.max(group.firstRow, firstRow)), chunks)))
    )
  }))

const allRows = <A>(
  pattern: string | ReadonlyArray<string>,
  from: Position | number | undefined,
  prepare: (file: ParquetFile) => Effect.Effect<ReadGroup<A>, ParquetError>
): Stream.Stream<A, ParquetError> =>
  Stream.unwrap(Effect.map(Effect.flatMap(files(pattern), (found) => startOf(found, from)), (start) =>
    Stream.fromIterable(start.files, { chunkSize: 1 }).pipe(
      Stream.flatMap((path) => fileRows(path, path === start.position?.file ? start.position : undefined, prepare))
    )))

type Texts = ReadonlyArray<string | null | undefined>

/** Rows of text columns: `make` gets one text for each column and the place; a null in any of them is a null row. */
const textGroup = <A>(
  file: ParquetFile,
  columns: ReadonlyArray<ColumnInfo>,
  nulls: NullPolicy,
  make: (texts: ReadonlyArray<string>, place: Position) => A
): ReadGroup<A> =>
(group, firstRow) =>
  Effect.gen(function*() {
    const data = (yield* Effect.forEach(columns, (column) => file.readColumn(group, column))) as ReadonlyArray<Texts>
    const rows: Array<A> = []
    for (let row = firstRow; row < group.firstRow + group.rows; row++) {
      const texts = data.map((values) => values[row - group.firstRow])
      const missing = texts.findIndex((text) => typeof text !== "string")
      if (missing < 0) rows.push(make(texts as Array<string>, { file: file.path, rowGroup: group.index, row }))
      else if (nulls === "fail") return yield* nullValue(file, columns[missing]!.name, group.index, row)
    }
    return rows
  })

const textColumns = <A>(
  pattern: string | ReadonlyArray<string>,
  options: ReadOptions,
  columns: ReadonlyArray<string>,
  make: (texts: ReadonlyArray<string>, place: Position) => A
): Stream.Stream<A, ParquetError> =>
  allRows(pattern, options.from, (file) =>
    Effect.map(
      Effect.forEach(columns, (column) => requireTextColumn(file, column)),
      (found) => textGroup(file, found, options.nulls ?? "fail", make)
    ))

/**
 * Reads one text column of one or many files as a stream of texts, in file order.
 *
 * **Details** `pattern` is a path, a folder, a pattern, or several of them. Memory holds one decoded row group at a
 * time. Use {@link readText} where the place of each row matters.
 *
 * @example
 * ```ts
 * Parquet.read("corpus/*.parquet", { column: "text" }).pipe(Stream.map((text) => text.length), Stream.runSum)
 * ```
 */
export const read = (pattern: string | ReadonlyArray<string>, options: ReadTextOptions): Stream.Stream<string, ParquetError> =>
  textColumns(pattern, options, [options.column], ([text]) => text!)

/** Like {@link read}, each text with its place; `from: after(row)` goes on exactly behind a row already seen. */
export const readText = (
  pattern: string | ReadonlyArray<string>,
  options: ReadTextOptions
): Stream.Stream<TextRow, ParquetError> =>
  textColumns(pattern, options, [options.column], ([text], place) => ({ text: text!, ...place }))

/** Reads two text columns side by side: a condition and what follows from it, with their place. */
export const readPairs = (
  pattern: string | ReadonlyArray<string>,
  options: ReadPairOptions
): Stream.Stream<PairRow, ParquetError> =>
  textColumns(pattern, options, [options.condition, options.target], ([condition, target], place) => ({
    condition: condition!,
    target: target!,
    ...place
  }))

const rowsGroup = (file: ParquetFile, columns: ReadonlyArray<ColumnInfo>): ReadGroup<Row> => (group, firstRow) =>
  Effect.map(Effect.forEach(columns, (column) => file.readColumn(group, column)), (data) => {
    const rows: Array<Row> = []
    for (let row = firstRow; row < group.firstRow + group.rows; row++) {
      const values = Object.fromEntries(columns.map(({ name }, i) => [name, data[i]![row - group.firstRow] ?? null]))
      rows.push({ values, file: file.path, rowGroup: group.index, row })
    }
    return rows
  })

/** Reads several columns of any type, row by row; a null is `null`, an `int64` a bigint, a list an array. */
export const readRows = (
  pattern: string | ReadonlyArray<string>,
  options: ReadRowsOptions = {}
): Stream.Stream<Row, ParquetError> =>
  allRows(pattern, options.from, (file) =>
    Effect.map(
      Effect.forEach(options.columns ?? file.columns.map((column) => column.name), (name) => requireColumn(file, name)),
      (columns) => rowsGroup(file, columns)
    ))

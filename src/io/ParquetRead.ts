/**
 * Parquet files as streams of rows, each with its place, so that reading can go on exactly where it stopped.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { type ColumnInfo, requireText } from "./parquetColumns.ts"
import { ParquetError } from "./ParquetError.ts"
import { open, type ParquetFile, type RowGroup } from "./ParquetFile.ts"
import { checkStart, files, type Position, startOf } from "./parquetStart.ts"

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

type ReadGroup<A> = (group: RowGroup, firstRow: number) => Effect.Effect<ReadonlyArray<A>, ParquetError>

const chunks = <A>(rows: ReadonlyArray<A>): Stream.Stream<A> =>
  Stream.fromArrays(...Array.from(
    { length: Math.ceil(rows.length / rowsPerChunk) },
    (_, i) => rows.slice(i * rowsPerChunk, (i + 1) * rowsPerChunk)
  ))

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
      Effect.forEach(columns, (column) => Effect.flatMap(file.column(column), (found) => requireText(file, found))),
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
export const read = (
  pattern: string | ReadonlyArray<string>,
  options: ReadTextOptions
): Stream.Stream<string, ParquetError> =>
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

/** A list as an array, whatever it was decoded to; bytes stay bytes. */
const plain = (value: unknown): unknown =>
  ArrayBuffer.isView(value) && !(value instanceof Uint8Array) ? Array.from(value as unknown as ArrayLike<unknown>) : value

const rowsGroup = (file: ParquetFile, columns: ReadonlyArray<ColumnInfo>): ReadGroup<Row> => (group, firstRow) =>
  Effect.map(Effect.forEach(columns, (column) => file.readColumn(group, column)), (data) => {
    const rows: Array<Row> = []
    for (let row = firstRow; row < group.firstRow + group.rows; row++) {
      const values = Object.fromEntries(columns.map(({ name }, i) => [name, plain(data[i]![row - group.firstRow])]))
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
      Effect.forEach(options.columns ?? file.columns.map((column) => column.name), (name) => file.column(name)),
      (columns) => rowsGroup(file, columns)
    ))

/**
 * Parquet files as streams of rows, each with its place, so that reading can go on exactly where it stopped.
 *
 * @since 0.1.0
 */
import { Effect, type Stream } from "effect"
import type { DecodedArray } from "hyparquet"
import { type ColumnInfo, requireIds, requireText } from "./parquetColumns.ts"
import { ParquetError } from "./ParquetError.ts"
import type { ParquetFile } from "./ParquetFile.ts"
import { allRows, type SourceOptions, type Table } from "./parquetRows.ts"
import type { Position } from "./parquetStart.ts"
import { misfit, toIds } from "./tokenIds.ts"

/** One value of a text column and its place. */
export interface TextRow extends Position {
  readonly text: string
}

/** The token ids of one row and its place. */
export interface IdsRow extends Position {
  /** Each in [0, 2³¹). */
  readonly ids: Int32Array
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

interface ReadOptions extends SourceOptions {
  /** Default `"fail"`. */
  readonly nulls?: NullPolicy
}

export interface ReadTextOptions extends ReadOptions {
  /** Name of the text column, or dotted path of a field: `meta.text`. */
  readonly column: string
}

export interface ReadIdsOptions extends ReadOptions {
  /** Name of the column of lists of whole numbers, or dotted path of a field. */
  readonly column: string
}

export interface ReadPairOptions extends ReadOptions {
  /** Name of the text column that the answer depends on. */
  readonly condition: string
  /** Name of the text column that follows from it. */
  readonly target: string
}

export interface ReadRowsOptions extends SourceOptions {
  /** Names or dotted paths; all columns of each file when absent. Nulls are passed on as `null`. */
  readonly columns?: ReadonlyArray<string>
}

const nullValue = ({ file, row, rowGroup }: Position, column: ColumnInfo) =>
  new ParquetError({
    file,
    reason: "nullValue",
    rowGroup,
    row,
    column: column.name,
    detail: "the value is null",
    remedy: `fill it in, or read with nulls: "skip" to leave such rows out`
  })

/** The columns of a file by name or path, each checked to be of one kind. */
const columnsOf = (
  file: ParquetFile,
  names: ReadonlyArray<string>,
  check: (file: ParquetFile, column: ColumnInfo) => Effect.Effect<ColumnInfo, ParquetError>
) => Effect.forEach(names, (name) => Effect.flatMap(file.column(name), (column) => check(file, column)))

type MakeRow<V, A> = (values: ReadonlyArray<V>, placeAt: (index: number) => Position, index: number) => A

/** Rows whose values are all there; a null in any of them is a null row. */
const withoutNulls = <V, A>(columns: ReadonlyArray<ColumnInfo>, nulls: NullPolicy, make: MakeRow<V, A>): Table<A> => ({
  columns,
  rows: (values: ReadonlyArray<DecodedArray>, from, placeAt, count) => {
    const rows: Array<A> = []
    for (let index = from; index < count; index++) {
      const found = values.map((column) => column[index] as V | null)
      const missing = found.indexOf(null)
      if (missing < 0) rows.push(make(found as ReadonlyArray<V>, placeAt, index))
      else if (nulls === "fail") throw nullValue(placeAt(index), columns[missing]!)
    }
    return rows
  }
})

/** The same of one column whose rows are its values: nothing is made for a row. */
const presentValues = <V, A>(column: ColumnInfo, nulls: NullPolicy, valueOf: (value: V, placeAt: (index: number) => Position, index: number) => A): Table<A> => ({
  columns: [column],
  rows: ([values]: ReadonlyArray<DecodedArray>, from, placeAt, count) => {
    const rows: Array<A> = []
    for (let index = from; index < count; index++) {
      const value = values![index] as V | null
      if (value !== null) rows.push(valueOf(value, placeAt, index))
      else if (nulls === "fail") throw nullValue(placeAt(index), column)
    }
    return rows
  }
})

const textColumns = <A>(
  pattern: string | ReadonlyArray<string>,
  options: ReadOptions,
  names: ReadonlyArray<string>,
  make: MakeRow<string, A>
): Stream.Stream<A, ParquetError> =>
  allRows(pattern, options, (file) =>
    Effect.map(columnsOf(file, names, requireText), (columns) => withoutNulls(columns, options.nulls ?? "fail", make)))

/**
 * Reads one text column of one or many files as a stream of texts, in file order.
 *
 * **Details** `pattern` is a path, a folder, a pattern, an `http(s)` URL, an `s3://bucket/prefix/**` pattern, or several
 * of them. Memory holds a few decoded pages at a time. Use {@link readText} where the place of each row matters.
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
  allRows(pattern, options, (file) =>
    Effect.map(columnsOf(file, [options.column], requireText), ([column]) =>
      presentValues(column!, options.nulls ?? "fail", (text: string) => text)))

/** Like {@link read}, each text with its place; `from: after(row)` goes on exactly behind a row already seen. */
export const readText = (
  pattern: string | ReadonlyArray<string>,
  options: ReadTextOptions
): Stream.Stream<TextRow, ParquetError> =>
  textColumns(pattern, options, [options.column], ([text], placeAt, index) => ({ text: text!, ...placeAt(index) }))

/** Reads two text columns side by side: a condition and what follows from it, with their place. */
export const readPairs = (
  pattern: string | ReadonlyArray<string>,
  options: ReadPairOptions
): Stream.Stream<PairRow, ParquetError> =>
  textColumns(pattern, options, [options.condition, options.target], ([condition, target], placeAt, index) => ({
    condition: condition!,
    target: target!,
    ...placeAt(index)
  }))

const idsOf = (column: ColumnInfo) => (list: ArrayLike<unknown>, placeAt: (index: number) => Position, index: number): Int32Array => {
  const ids = toIds(list)
  if (ids !== undefined) return ids
  const { file, row, rowGroup } = placeAt(index)
  const detail = `the list holds ${String(misfit(list))}, which is no token id`
  throw new ParquetError({ file, reason: "badRow", rowGroup, row, column: column.name, detail, remedy: "token ids are whole numbers from 0 to 2147483647" })
}

/** Like {@link readIds}, the ids of each row with their place. */
export const readIdRows = (
  pattern: string | ReadonlyArray<string>,
  options: ReadIdsOptions
): Stream.Stream<IdsRow, ParquetError> =>
  allRows(pattern, options, (file) =>
    Effect.map(columnsOf(file, [options.column], requireIds), ([column]) => {
      const ids = idsOf(column!)
      return presentValues(column!, options.nulls ?? "fail", (list: ArrayLike<unknown>, placeAt, index): IdsRow =>
        ({ ids: ids(list, placeAt, index), ...placeAt(index) }))
    }))

/**
 * Reads one column of token-id lists (`list<int32>`, `list<int64>`, …) as a stream of ids, in file order: texts that were
 * tokenised before skip the tokenizer. An element that is null or not in [0, 2³¹) fails, naming the row.
 */
export const readIds = (
  pattern: string | ReadonlyArray<string>,
  options: ReadIdsOptions
): Stream.Stream<Int32Array, ParquetError> =>
  allRows(pattern, options, (file) =>
    Effect.map(columnsOf(file, [options.column], requireIds), ([column]) => presentValues(column!, options.nulls ?? "fail", idsOf(column!))))

/** A list as an array, whatever it was decoded to; bytes stay bytes. */
const plain = (value: unknown): unknown =>
  ArrayBuffer.isView(value) && !(value instanceof Uint8Array) ? Array.from(value as unknown as ArrayLike<unknown>) : value

const rowTable = (columns: ReadonlyArray<ColumnInfo>): Table<Row> => ({
  columns,
  rows: (data, from, placeAt, count) => Array.from({ length: Math.max(0, count - from) }, (_, k) => {
    const index = from + k
    return { values: Object.fromEntries(columns.map(({ name }, i) => [name, plain(data[i]![index])])), ...placeAt(index) }
  })
})

/**
 * Reads several columns of any type, row by row; only their column chunks are fetched.
 *
 * **Details** A null is `null`, an `int64` a bigint, a decimal its exact digits as a string, a date a `Date`, a moment a
 * {@link Timestamp}, a list an array, a struct an object, a map an array of `[key, value]` pairs.
 */
export const readRows = (
  pattern: string | ReadonlyArray<string>,
  options: ReadRowsOptions = {}
): Stream.Stream<Row, ParquetError> =>
  allRows(pattern, options, (file) =>
    Effect.map(options.columns === undefined ? Effect.succeed(file.columns) : Effect.forEach(options.columns, (name) => file.column(name)), rowTable))

/**
 * Streams of rows as parquet files: whole or not at all.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { ByteWriter, ParquetWriter } from "hyparquet-writer"
import type { Stage } from "../streams/Stage.ts"
import { type AtomicFile, writeAtomically } from "./atomicFile.ts"
import { type Codec, compressors, hasCodec } from "./parquetCodecs.ts"
import { fromDiskError, ParquetError } from "./ParquetError.ts"
import {
  type Column,
  type ColumnType,
  elementsOf,
  encode,
  extentOf,
  type Fields,
  inferType,
  misfit,
  parseType
} from "./parquetTypes.ts"

export interface WriteOptions {
  /**
   * Columns, in order. When absent, the first row decides: text, numbers as double, bigint as int64, Int32Array as
   * list<int32>, Float32Array as list<float>; all may be null.
   */
  readonly schema?: Readonly<Record<string, ColumnType>>
  /** Rows a row group, at most. Default 8192; a group also ends at about 64 MB of text. */
  readonly rowGroupSize?: number
  /** Default `"snappy"`. */
  readonly codec?: Codec
  /** Key-value pairs for the footer. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** What {@link write} gives back when the file is in place. */
export interface WrittenFile {
  readonly path: string
  readonly rows: number
  readonly bytes: number
}

const charactersPerGroup = 32 * 1024 * 1024

type Place = { readonly row?: number; readonly column?: string }

const refuse = (path: string, detail: string, remedy: string, place: Place = {}) =>
  new ParquetError({ file: path, reason: "badRow", detail, remedy, ...place })

/** Collects rows, cuts row groups and hands finished bytes to the file. */
class GroupWriter {
  readonly #bytes = new ByteWriter(1 << 16)
  readonly #columns: ReadonlyArray<Column>
  readonly #file: AtomicFile
  readonly #options: WriteOptions
  readonly #path: string
  readonly #writer: ParquetWriter
  #pending: Array<Fields> = []
  #characters = 0
  rows = 0

  constructor(path: string, columns: ReadonlyArray<Column>, file: AtomicFile, options: WriteOptions) {
    this.#path = path
    this.#columns = columns
    this.#file = file
    this.#options = options
    this.#writer = new ParquetWriter({
      writer: this.#bytes,
      schema: [{ name: "schema", num_children: columns.length }, ...columns.flatMap(elementsOf)],
      codec: (options.codec ?? "snappy").toUpperCase() as "SNAPPY",
      compressors,
      createdBy: "elf-streams",
      kvMetadata: Object.entries(options.metadata ?? {}).map(([key, value]) => ({ key, value }))
    })
  }

  readonly add = (row: Fields): Effect.Effect<void, ParquetError> => {
    const problem = misfit(this.#columns, row)
    if (problem !== undefined) {
      const { column, detail, remedy } = problem
      return Effect.fail(refuse(this.#path, detail, remedy, { row: this.rows, column }))
    }
    this.rows++
    this.#pending.push(row)
    this.#characters += extentOf(row)
    const full = this.#pending.length >= (this.#options.rowGroupSize ?? 8192) || this.#characters >= charactersPerGroup
    return full ? this.#flush() : Effect.void
  }

  readonly finish = (): Effect.Effect<void, ParquetError> =>
    this.#flush().pipe(Effect.andThen(this.#encode(() => this.#writer.finish())))

  #flush(): Effect.Effect<void, ParquetError> {
    const rows = this.#pending
    if (rows.length === 0) return Effect.void
    this.#pending = []
    this.#characters = 0
    const columnData = this.#columns.map((column) => ({
      name: column.name,
      data: rows.map((row) => encode(column, row[column.name]))
    }))
    return this.#encode(() => this.#writer.write({ columnData, rowGroupSize: rows.length }))
  }

  #encode(run: () => void | Promise<void>): Effect.Effect<void, ParquetError> {
    return Effect.try({
      try: () => void run(),
      catch: (cause) => refuse(this.#path, `the rows cannot be encoded (${String(cause)})`, "check their values")
    }).pipe(Effect.andThen(this.#drain()))
  }

  #drain(): Effect.Effect<void, ParquetError> {
    return Effect.suspend(() => this.#file.append(this.#bytes.getBytes())).pipe(
      Effect.mapError(fromDiskError(this.#path)),
      Effect.tap(() => Effect.sync(() => {
        this.#bytes.index = 0
      }))
    )
  }
}

const checkOptions = (path: string, { codec = "snappy", rowGroupSize = 1 }: WriteOptions) => {
  if (!hasCodec(codec)) {
    return Effect.fail(refuse(path, `this Node cannot compress with ${codec}`, "use Node 22.15 or newer, or the codec snappy"))
  }
  return Number.isSafeInteger(rowGroupSize) && rowGroupSize > 0 ? Effect.void :
    Effect.fail(refuse(path, `rowGroupSize is ${rowGroupSize}`, "give a whole number above 0"))
}

const parseSchema = (path: string, schema: Readonly<Record<string, string>>) =>
  Effect.forEach(Object.entries(schema), ([name, type]) => {
    const remedy = "use string, int32, int64, float, double, boolean or list<…> of these, with ? for nulls"
    return Effect.fromNullishOr(parseType(name, type)).pipe(
      Effect.mapError(() => refuse(path, `"${type}" is no column type`, remedy, { column: name }))
    )
  })

const inferSchema = (path: string, row: Fields) =>
  Effect.forEach(Object.entries(row), ([name, value]) => {
    const type = inferType(value)
    const detail = "the type of the column cannot be told from the first row"
    return Effect.fromNullishOr(type && parseType(name, type)).pipe(
      Effect.mapError(() => refuse(path, detail, `give its type in "schema"`, { row: 0, column: name }))
    )
  })

const writeRows = <A extends object, E, R>(
  rows: Stream.Stream<A, E, R>,
  path: string,
  file: AtomicFile,
  options: WriteOptions
): Effect.Effect<number, E | ParquetError, R> =>
  Effect.gen(function*() {
    yield* checkOptions(path, options)
    const open = (columns: ReadonlyArray<Column>) => new GroupWriter(path, columns, file, options)
    let writer = options.schema && open(yield* parseSchema(path, options.schema))
    yield* Stream.runForEachArray(rows, (chunk) => Effect.gen(function*() {
      for (const row of chunk as ReadonlyArray<Fields>) {
        writer ??= open(yield* inferSchema(path, row))
        yield* writer.add(row)
      }
    }))
    if (writer === undefined) {
      return yield* refuse(path, "there are no rows and no schema", `give "schema" to write a file without rows`)
    }
    yield* writer.finish()
    return writer.rows
  })

/**
 * Writes every row of a stream into one parquet file and then emits what was written.
 *
 * The file appears under `path` only when it is whole and on the disk: an error or an interruption leaves no trace, and
 * an older file of that name as it was.
 *
 * @example
 * ```ts
 * answers.pipe(Parquet.write("answers.parquet", { schema: { id: "int32", text: "string?" } }), Stream.runHead)
 * ```
 */
export const write = (path: string, options: WriteOptions = {}): Stage<object, WrittenFile, ParquetError> => (upstream) =>
  Stream.fromEffect(
    writeAtomically(path, fromDiskError(path), (file) =>
      Effect.map(writeRows(upstream, path, file, options), (rows) => ({ path, rows, bytes: file.written() }))
    )
  )

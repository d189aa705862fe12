/**
 * Streams of rows as parquet files: whole or not at all.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import type { SchemaElement } from "hyparquet"
import { ByteWriter, ParquetWriter } from "hyparquet-writer"
import * as zlib from "node:zlib"
import type { Stage } from "../streams/Stage.ts"
import { type AtomicFile, writeAtomically } from "./atomicFile.ts"
import { fromDiskError, ParquetError } from "./ParquetError.ts"

type Scalar = "string" | "int32" | "int64" | "float" | "double" | "boolean"

/** The type of a column; `?` at the end allows nulls. */
export type ColumnType = `${Scalar | `list<${Scalar}>`}${"" | "?"}`

/** How pages are compressed. `zstd` needs a Node that has it (22.15 or newer). */
export type Codec = "uncompressed" | "snappy" | "gzip" | "zstd"

export interface WriteOptions {
  /** Columns, in order. When absent, the first row decides: text, numbers as double, bigint as int64, Int32Array as list<int32>, Float32Array as list<float>; all may be null. */
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

interface Column {
  readonly name: string
  readonly scalar: Scalar
  readonly list: boolean
  readonly nullable: boolean
}

type Fail = (detail: string, remedy: string, place?: { row?: number; column?: string }) => ParquetError

const charactersPerGroup = 32 * 1024 * 1024

const physical: Record<Scalar, Pick<SchemaElement, "type" | "converted_type" | "logical_type">> = {
  string: { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } },
  int32: { type: "INT32" },
  int64: { type: "INT64" },
  float: { type: "FLOAT" },
  double: { type: "DOUBLE" },
  boolean: { type: "BOOLEAN" }
}

const parseType = (name: string, type: ColumnType): Column => {
  const match = /^(list<)?(\w+)>?(\?)?$/.exec(type)!
  return { name, scalar: match[2] as Scalar, list: match[1] !== undefined, nullable: match[3] !== undefined }
}

const elementsOf = ({ name, scalar, list, nullable }: Column): ReadonlyArray<SchemaElement> => {
  const repetition_type = nullable ? "OPTIONAL" as const : "REQUIRED" as const
  if (!list) return [{ name, repetition_type, ...physical[scalar] }]
  return [
    { name, repetition_type, converted_type: "LIST", logical_type: { type: "LIST" }, num_children: 1 },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    { name: "element", repetition_type: "REQUIRED", ...physical[scalar] }
  ]
}

const inferType = (value: unknown): ColumnType | undefined => {
  if (typeof value === "string") return "string?"
  if (typeof value === "number") return "double?"
  if (typeof value === "bigint") return "int64?"
  if (typeof value === "boolean") return "boolean?"
  if (value instanceof Int32Array) return "list<int32>?"
  if (value instanceof Float32Array) return "list<float>?"
  if (value instanceof Float64Array) return "list<double>?"
  if (!Array.isArray(value) || value.length === 0) return undefined
  const inner = inferType(value[0])
  return inner === undefined || inner.startsWith("list") ? undefined : `list<${inner.slice(0, -1) as Scalar}>?`
}

const fits: Record<Scalar, (value: unknown) => boolean> = {
  string: (value) => typeof value === "string",
  int32: (value) => typeof value === "number" && (value | 0) === value,
  int64: (value) => typeof value === "bigint" ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value),
  float: (value) => typeof value === "number",
  double: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean"
}

const isList = (value: unknown): value is ArrayLike<unknown> => Array.isArray(value) || ArrayBuffer.isView(value)

const fitsColumn = (column: Column, value: unknown): boolean => {
  if (value === null || value === undefined) return column.nullable
  if (!column.list) return fits[column.scalar](value)
  return isList(value) && Array.prototype.every.call(value, fits[column.scalar])
}

const encode = (column: Column, value: unknown): unknown => {
  if (value === null || value === undefined) return null
  if (column.list) return Array.from(value as ArrayLike<unknown>, (item) => encode({ ...column, list: false }, item))
  return column.scalar === "int64" ? BigInt(value as number) : value
}

type Compress = (input: Uint8Array) => Uint8Array
const zstd = (zlib as { zstdCompressSync?: Compress }).zstdCompressSync
const compressors = { GZIP: (input: Uint8Array) => zlib.gzipSync(input), ...(zstd === undefined ? {} : { ZSTD: zstd }) }

type Fields = Readonly<Record<string, unknown>>

const inferSchema = (row: Fields, fail: Fail) =>
  Effect.forEach(Object.entries(row), ([name, value]) => {
    const type = inferType(value)
    return type !== undefined ? Effect.succeed(parseType(name, type)) : Effect.fail(
      fail("the type of the column cannot be told from the first row", `give its type in "schema"`, { row: 0, column: name })
    )
  })

const checkRow = (columns: ReadonlyArray<Column>, row: Fields, index: number, fail: Fail): ParquetError | undefined => {
  for (const column of columns) {
    const value = row[column.name]
    if (fitsColumn(column, value)) continue
    const type = `${column.list ? `list<${column.scalar}>` : column.scalar}${column.nullable ? "?" : ""}`
    const got = value === null || value === undefined ? "null" : isList(value) ? "a list" : `${typeof value} ${String(value).slice(0, 40)}`
    return fail(`the value (${got}) does not fit the type ${type}`, `change the row or the type in "schema"`, { row: index, column: column.name })
  }
  const unknown = Object.keys(row).find((name) => !columns.some((column) => column.name === name))
  return unknown === undefined ? undefined :
    fail("the row has a column that the file has not", `give every column in "schema", or drop it from the row`, { row: index, column: unknown })
}

const charactersOf = (row: Fields) =>
  Object.values(row).reduce<number>((sum, value) => sum + (typeof value === "string" || isList(value) ? value.length : 8), 0)

/** Collects rows, cuts row groups and hands finished bytes to the file. */
class GroupWriter {
  readonly #bytes = new ByteWriter(1 << 16)
  readonly #columns: ReadonlyArray<Column>
  readonly #file: AtomicFile
  readonly #fail: Fail
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
    this.#fail = failureOf(path)
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
    const problem = checkRow(this.#columns, row, this.rows, this.#fail)
    if (problem !== undefined) return Effect.fail(problem)
    this.rows++
    this.#pending.push(row)
    this.#characters += charactersOf(row)
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
      catch: (cause) => this.#fail(`the rows cannot be encoded (${String(cause)})`, "check the values of these rows")
    }).pipe(Effect.andThen(this.#drain()))
  }

  #drain(): Effect.Effect<void, ParquetError> {
    return Effect.suspend(() => this.#file.append(this.#bytes.getBytes())).pipe(
      Effect.mapError((error) => fromDiskError(this.#path)(error)),
      Effect.tap(() => Effect.sync(() => {
        this.#bytes.index = 0
      }))
    )
  }
}

const checkOptions = (options: WriteOptions, fail: Fail) => {
  if (options.codec === "zstd" && zstd === undefined) {
    return Effect.fail(fail("this Node cannot compress with zstd", "use Node 22.15 or newer, or the codec snappy"))
  }
  const size = options.rowGroupSize
  return size === undefined || (Number.isSafeInteger(size) && size > 0) ? Effect.void :
    Effect.fail(fail(`rowGroupSize is ${size}`, "give a whole number above 0"))
}

const writeRows = <A extends object, E, R>(
  rows: Stream.Stream<A, E, R>,
  path: string,
  file: AtomicFile,
  options: WriteOptions
): Effect.Effect<number, E | ParquetError, R> =>
  Effect.gen(function*() {
    const fail = failureOf(path)
    yield* checkOptions(options, fail)
    const given = options.schema && Object.entries(options.schema).map(([name, type]) => parseType(name, type))
    let writer = given && new GroupWriter(path, given, file, options)
    yield* Stream.runForEachArray(rows, (chunk) => Effect.gen(function*() {
      for (const row of chunk as ReadonlyArray<Fields>) {
        writer ??= new GroupWriter(path, yield* inferSchema(row, fail), file, options)
        yield* writer.add(row)
      }
    }))
    if (writer === undefined) {
      return yield* fail("there are no rows and no schema to write", `give "schema" to write a file without rows`)
    }
    yield* writer.finish()
    return writer.rows
  })

const failureOf = (path: string): Fail => (detail, remedy, place = {}) =>
  new ParquetError({ file: path, reason: "badRow", detail, remedy, ...place })

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

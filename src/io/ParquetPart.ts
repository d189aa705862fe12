/**
 * A part: one row group of another file with columns added, as a file of its own.
 *
 * Columns of the other file are carried byte by byte, as they are compressed: no type, no null, no digit can change on
 * the way. Added columns are written while their rows come, the first one straight to the disk, so memory holds the pages
 * of the others only; put the largest first.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import type { ColumnMetaData, KeyValue } from "hyparquet"
import { createHash, type Hash } from "node:crypto"
import { arrowSchemaKey, extendArrowSchema } from "./arrowSchema.ts"
import { type AtomicFile, writeAtomically } from "./atomicFile.ts"
import type { Codec } from "./parquetCodecs.ts"
import { fromDiskError, ParquetError } from "./ParquetError.ts"
import type { ParquetFile, RowGroup } from "./ParquetFile.ts"
import { type CarriedColumns, type ChunkPlace, footer, keyValuesOf, magic } from "./parquetFooter.ts"
import { encodeRun, joinRuns, type Run } from "./parquetRuns.ts"
import { type Column, type ColumnType, elementsOf, type Fields, misfit, parseType } from "./parquetTypes.ts"
import { readStruct } from "./thrift.ts"

/** Columns of one row group of another file. */
export interface Carried {
  readonly file: ParquetFile
  readonly group: RowGroup
  /** Top-level columns to carry, in this order. */
  readonly columns: ReadonlyArray<string>
}

/** The chunks of a top-level column in one row group, by their numbers. */
const chunksOf = ({ metadata }: ParquetFile, group: RowGroup, column: string): ReadonlyArray<number> =>
  metadata.row_groups[group.index]!.columns.flatMap(({ meta_data }, index) => meta_data?.path_in_schema[0] === column ? [index] : [])

/** What a part consists of, besides its rows. */
export interface PartOptions {
  readonly carried?: Carried | undefined
  /** The added columns, in order. */
  readonly schema: Readonly<Record<string, ColumnType>>
  /** Compression of the added columns; carried ones stay as they are. Default `"snappy"`. */
  readonly codec?: Codec
  /** Key-value pairs for the footer, besides those of the other file. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** A part that is in place. */
export interface WrittenPart {
  readonly path: string
  readonly rows: number
  readonly bytes: number
  /** Of the whole file, hexadecimal. */
  readonly sha256: string
  /** Of the bytes of each carried column, by name. */
  readonly columns: ReadonlyMap<string, string>
}

const refuse = (path: string, detail: string, remedy: string, row?: number, column?: string) =>
  new ParquetError({
    file: path,
    reason: "badRow",
    detail,
    remedy,
    ...(row === undefined ? {} : { row }),
    ...(column === undefined ? {} : { column })
  })

/** Appends, and knows the sha256 of everything. */
const hashing = (file: AtomicFile, hash: Hash): AtomicFile => ({
  written: file.written,
  append: (bytes) => Effect.andThen(Effect.sync(() => void hash.update(bytes)), file.append(bytes))
})

/** Copies one chunk; says where it is now. */
const copyChunk = (file: AtomicFile, hash: Hash, { file: source, group }: Carried, chunk: number) =>
  Effect.suspend(() => {
    const start = file.written()
    const copy = Stream.runForEach(source.storedPages(group, chunk), (bytes) => {
      hash.update(bytes)
      return file.append(bytes)
    })
    return Effect.map(copy, (): ChunkPlace => ({ start, bytes: file.written() - start }))
  })

const damagedFooter = (path: string) => (cause: unknown) =>
  new ParquetError({ file: path, reason: "corrupt", detail: `the footer cannot be read (${String(cause)})`, remedy: "fetch or write the file again" })

const copyColumns = Effect.fnUntraced(function*(file: AtomicFile, carried: Carried) {
  const { columns, file: source, group } = carried
  const places: Array<ChunkPlace> = []
  const digests = new Map<string, string>()
  for (const column of columns) {
    const hash = createHash("sha256")
    for (const chunk of chunksOf(source, group, column)) places.push(yield* copyChunk(file, hash, carried, chunk))
    digests.set(column, hash.digest("hex"))
  }
  const bytes = yield* source.footer
  const footer = yield* Effect.try({ try: () => readStruct(bytes), catch: damagedFooter(source.path) })
  return { digests, columns: { footer, rowGroup: group.index, columns, places } satisfies CarriedColumns }
})

/** Gathers the runs of the added columns: the first one's go to the disk at once. */
class AddedColumns {
  readonly #columns: ReadonlyArray<Column>
  readonly #codec: Codec
  readonly #path: string
  readonly #file: AtomicFile
  readonly #held: Array<Array<Run>>
  #first: ColumnMetaData | undefined
  rows = 0

  constructor(path: string, file: AtomicFile, columns: ReadonlyArray<Column>, codec: Codec) {
    this.#path = path
    this.#file = file
    this.#columns = columns
    this.#codec = codec
    this.#held = columns.slice(1).map(() => [])
  }

  readonly add = (rows: ReadonlyArray<Fields>) =>
    Effect.gen({ self: this }, function*() {
      if (rows.length === 0) return
      yield* this.#check(rows)
      const [first, ...others] = yield* Effect.try({
        try: () => this.#columns.map((column) => encodeRun(column, rows, this.#codec)),
        catch: (cause) => refuse(this.#path, `the rows cannot be encoded (${String(cause)})`, "check their values", this.rows)
      })
      this.rows += rows.length
      this.#first = joinRuns(this.#first, { ...first!.metadata, data_page_offset: BigInt(this.#first === undefined ? this.#file.written() : 0) })
      others.forEach((run, i) => this.#held[i]!.push(run))
      yield* this.#file.append(first!.bytes)
    })

  /** Writes what is held and says where everything lies. */
  readonly finish = Effect.gen({ self: this }, function*() {
    const chunks = this.#first === undefined ? [] : [this.#first]
    for (const runs of this.#held) {
      const start = BigInt(this.#file.written())
      for (const { bytes } of runs) yield* this.#file.append(bytes)
      const chunk = runs.map(({ metadata }) => metadata).reduce<ColumnMetaData | undefined>(joinRuns, undefined)
      if (chunk !== undefined) chunks.push({ ...chunk, data_page_offset: start })
    }
    return chunks
  })

  #check(rows: ReadonlyArray<Fields>) {
    for (const [i, row] of rows.entries()) {
      const problem = misfit(this.#columns, row)
      if (problem !== undefined) return Effect.fail(refuse(this.#path, problem.detail, problem.remedy, this.rows + i, problem.column))
    }
    return Effect.void
  }
}

const parseSchema = (path: string, schema: PartOptions["schema"]) =>
  Effect.forEach(Object.entries(schema), ([name, type]) =>
    Effect.fromNullishOr(parseType(name, type)).pipe(
      Effect.mapError(() => refuse(path, `"${type}" is no column type`, "see ColumnType", undefined, name))
    ))

/** What the other file says of itself, where it is still true, and what this one adds. */
const keyValues = (carried: CarriedColumns | undefined, added: ReadonlyArray<Column>, metadata: Readonly<Record<string, string>> = {}): ReadonlyArray<KeyValue> => [
  ...(carried === undefined ? [] : keyValuesOf(carried.footer)).flatMap((pair) => {
    if (Object.hasOwn(metadata, pair.key)) return []
    if (pair.key !== arrowSchemaKey) return [pair]
    const value = extendArrowSchema(pair.value ?? "", carried!.columns, added)
    return value === undefined ? [] : [{ key: pair.key, value }]
  }),
  ...Object.entries(metadata).map(([key, value]) => ({ key, value }))
]

const checkRows = (path: string, { carried }: PartOptions, rows: number) =>
  carried === undefined || carried.group.rows === rows
    ? Effect.void
    : Effect.fail(refuse(path, `${rows} rows were given for a row group of ${carried.group.rows}`, "give a row for each"))

const writeBody = Effect.fnUntraced(function*<E, R>(
  path: string,
  rows: Stream.Stream<ReadonlyArray<object>, E, R>,
  options: PartOptions,
  file: AtomicFile
) {
  const columns = yield* parseSchema(path, options.schema)
  yield* file.append(magic)
  const added = new AddedColumns(path, file, columns, options.codec ?? "snappy")
  yield* Stream.runForEach(rows, (some) => added.add(some as ReadonlyArray<Fields>))
  yield* checkRows(path, options, added.rows)
  const chunks = yield* added.finish
  const carried = options.carried === undefined ? undefined : yield* copyColumns(file, options.carried)
  const written = { chunks, schema: columns.map(elementsOf), rows: added.rows }
  yield* file.append(footer(carried?.columns, written, keyValues(carried?.columns, columns, options.metadata)))
  return { rows: added.rows, columns: carried?.digests ?? new Map<string, string>() }
})

/**
 * Writes a part: the carried columns and, row by row in the same order, the added ones, which come as arrays of rows. It
 * appears under `path` only when it is whole and on the disk. Equal contents give equal bytes.
 */
export const writePart = <E, R>(
  path: string,
  rows: Stream.Stream<ReadonlyArray<object>, E, R>,
  options: PartOptions
): Effect.Effect<WrittenPart, E | ParquetError, R> => {
  const explain = fromDiskError(path)
  const hash = createHash("sha256")
  return writeAtomically(path, explain, (file) =>
    Effect.map(
      Effect.catchTag(writeBody(path, rows, options, hashing(file, hash)), "DiskError", (error) => Effect.fail(explain(error as never))),
      ({ columns, rows: count }) => ({ path, rows: count, columns, bytes: file.written(), sha256: hash.digest("hex") })
    )) as Effect.Effect<WrittenPart, E | ParquetError, R>
}

/**
 * The sha256 of the bytes of some columns in one row group, by name, hexadecimal: changes when any of their values does. Those
 * in `known` are not read again.
 */
export const digestColumns = ({ columns, file, group }: Carried, known: ReadonlyMap<string, string> = new Map()): Effect.Effect<ReadonlyMap<string, string>, ParquetError> =>
  Effect.gen(function*() {
    const digests = new Map<string, string>()
    for (const column of columns) {
      const hash = createHash("sha256")
      const read = Effect.forEach(chunksOf(file, group, column), (chunk) =>
        Stream.runForEach(file.storedPages(group, chunk), (bytes) => Effect.sync(() => void hash.update(bytes))))
      digests.set(column, known.get(column) ?? (yield* Effect.map(read, () => hash.digest("hex"))))
    }
    return digests
  })

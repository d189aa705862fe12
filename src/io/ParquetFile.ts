/**
 * One open parquet file: its checked metadata and its columns, a row group at a time.
 *
 * Nothing of the file is in memory but the footer and the column chunk being decoded. hyparquet decodes; what a file
 * claims about itself (sizes, offsets, counts) is checked here first, and every decoded column is counted.
 *
 * @since 0.1.0
 */
import { Effect, type Scope, Stream } from "effect"
import { isUtf8 } from "node:buffer"
import { createHash } from "node:crypto"
import {
  type AsyncBuffer,
  type DecodedArray,
  type FileMetaData,
  parquetMetadataAsync,
  type ParquetScan,
  parquetScan,
  parquetSchema
} from "hyparquet"
import { compressors } from "hyparquet-compressors"
import { attempt, type DiskFile } from "./Disk.ts"
import { type ColumnInfo, columnsOf, requireColumn } from "./parquetColumns.ts"
import { fromDiskError, ParquetError } from "./ParquetError.ts"

/** One row group: its index and its rows, counted from the start of the file: `firstRow ≤ row < firstRow + rows`. */
export interface RowGroup {
  readonly index: number
  readonly firstRow: number
  readonly rows: number
}

/** What the footer says about one column of one row group; several where the column is a struct. */
export interface ChunkInfo {
  /** Dotted path of the leaf, such as `text`, `meta.source` or `ids.list.element`. */
  readonly column: string
  readonly codec: string
  readonly encodings: ReadonlyArray<string>
  /** Values and nulls at the leaf. */
  readonly values: number
  readonly compressedBytes: number
  readonly uncompressedBytes: number
}

/** An open file; it stays open until the surrounding scope closes. */
export interface ParquetFile {
  /** Path or URL, as it was given. */
  readonly path: string
  readonly bytes: number
  readonly rows: number
  readonly rowGroups: ReadonlyArray<RowGroup>
  /** The columns at the top level, in the file's order. */
  readonly columns: ReadonlyArray<ColumnInfo>
  readonly metadata: FileMetaData
  /** A key that another content does not have: a sha256 over the size, the file's head and its footer; cheap to compute. */
  readonly contentKey: Effect.Effect<string, ParquetError>
  /** The column of a name, or of a dotted path into structs (`meta.text`); the error lists the names and the nearest one. */
  readonly column: (name: string) => Effect.Effect<ColumnInfo, ParquetError>
  /** The column chunks of a row group, in the file's order. */
  readonly chunks: (group: RowGroup) => ReadonlyArray<ChunkInfo>
  /** Decodes one column of one row group; the result has exactly `group.rows` values, a null is `null`. */
  readonly readColumn: (group: RowGroup, column: ColumnInfo) => Effect.Effect<DecodedArray, ParquetError>
  /** The same in pieces, in order: memory holds a few pages of the column instead of all of it. */
  readonly readPieces: (group: RowGroup, column: ColumnInfo) => Stream.Stream<DecodedArray, ParquetError>
}

const magic = "PAR1"
const smallestFile = 12
const remedyForDamage = "fetch or write the file again"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

// hyparquet's own decoder replaces broken bytes and drops a leading byte order mark in silence.
const stringFromBytes = (bytes: Uint8Array | undefined): string | undefined => {
  if (bytes === undefined) return undefined
  if (!isUtf8(bytes)) utf8.decode(bytes)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")
}

const readExactly = async (file: DiskFile, start: number, end: number): Promise<ArrayBuffer> => {
  if (start < 0 || end > file.size || end < start) throw new RangeError(`bytes ${start} to ${end} lie outside the file`)
  const bytes = new Uint8Array(end - start)
  for (let offset = 0; offset < bytes.length;) {
    const read = await file.read(bytes.subarray(offset), start + offset)
    if (read === 0) throw new RangeError(`the file ended at byte ${start + offset} while it was being read`)
    offset += read
  }
  return bytes.buffer
}

const asyncBuffer = (file: DiskFile): AsyncBuffer => ({
  byteLength: file.size,
  slice: (start, end) => readExactly(file, start, end ?? file.size)
})

const reasonOf = (cause: unknown) => cause instanceof Error ? cause.message : String(cause)

const refuse = (file: string, reason: ParquetError["reason"], detail: string, remedy: string) =>
  new ParquetError({ file, reason, detail, remedy })

const damaged = (path: string, detail: string, place: { rowGroup?: number; column?: string } = {}) =>
  new ParquetError({ file: path, reason: "corrupt", detail, remedy: remedyForDamage, ...place })

const ascii = (buffer: ArrayBuffer) => Buffer.from(buffer).toString("latin1")

const checkMagic = (path: string, file: DiskFile): Effect.Effect<void, ParquetError> =>
  Effect.gen(function*() {
    const fail = (reason: ParquetError["reason"], detail: string, remedy = "check the path") =>
      refuse(path, reason, detail, remedy)
    if (file.size === 0) {
      return yield* fail("emptyFile", "the file is empty (0 bytes)", "write it again, or leave it out of the pattern")
    }
    const tryRead = (start: number, end: number) =>
      Effect.tryPromise({ try: () => readExactly(file, start, end), catch: (cause) => damaged(path, reasonOf(cause)) })
    const head = ascii(yield* tryRead(0, Math.min(4, file.size)))
    const tail = ascii(yield* tryRead(Math.max(0, file.size - 4), file.size))
    if (head === "PARE" && tail === "PARE") {
      return yield* fail("unsupported", "the footer is encrypted", "decrypt the file before reading it")
    }
    if (!magic.startsWith(head) && head !== magic) {
      return yield* fail("notParquet", "this is not a parquet file (it does not start with PAR1)")
    }
    if (tail !== magic || file.size < smallestFile) {
      const detail = `the file is cut off after ${file.size} bytes (its footer is missing)`
      return yield* fail("truncated", detail, remedyForDamage)
    }
  })

const readMetadata = (path: string, file: DiskFile): Effect.Effect<FileMetaData, ParquetError> =>
  Effect.tryPromise({
    try: () => parquetMetadataAsync(asyncBuffer(file), { geoparquet: false }),
    catch: (cause) => damaged(path, `the footer cannot be read (${reasonOf(cause)})`)
  })

const chunkProblem = (metadata: FileMetaData, size: number): string | undefined => {
  for (const [index, group] of metadata.row_groups.entries()) {
    const count = Number(group.num_rows)
    if (!Number.isSafeInteger(count) || count < 0) return `row group ${index} claims ${group.num_rows} rows`
    for (const { file_path: path, meta_data: chunk } of group.columns) {
      if (path) return `row group ${index} keeps its data in another file (${path})`
      if (chunk === undefined) return `row group ${index} has a column without metadata`
      const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset)
      const end = start + Number(chunk.total_compressed_size)
      if (!(start >= 0 && end >= start && end <= size)) {
        const column = `column "${chunk.path_in_schema.join(".")}" of row group ${index}`
        return `${column} claims bytes ${start} to ${end} of a file of ${size}`
      }
    }
  }
  return undefined
}

const rowGroupsOf = (metadata: FileMetaData): ReadonlyArray<RowGroup> => {
  let firstRow = 0
  return metadata.row_groups.map((group, index) => {
    const rows = Number(group.num_rows)
    firstRow += rows
    return { index, firstRow: firstRow - rows, rows }
  })
}

const inspect = (path: string, file: DiskFile) =>
  Effect.gen(function*() {
    yield* checkMagic(path, file)
    const metadata = yield* readMetadata(path, file)
    const problem = chunkProblem(metadata, file.size)
    if (problem !== undefined) return yield* damaged(path, problem)
    const tree = yield* Effect.try({
      try: () => parquetSchema(metadata),
      catch: (cause) => damaged(path, `the schema cannot be read (${reasonOf(cause)})`)
    })
    return { metadata, columns: columnsOf(tree), rowGroups: rowGroupsOf(metadata) }
  })

/** What is wrong with a decoded column, if anything: its length, or a value that points outside the dictionary. */
const columnProblem = (values: DecodedArray, group: RowGroup, nested: boolean): string | undefined => {
  if (values.length !== group.rows) return `${values.length} values were found where ${group.rows} rows are promised`
  // In a flat column hyparquet decodes null as null; undefined is what it takes from beyond the end of a dictionary.
  const hole = !nested && Array.isArray(values) ? values.indexOf(undefined) : -1
  return hole < 0 ? undefined : `the value of row ${group.firstRow + hole} cannot be decoded`
}

const decodeColumn = (scan: ParquetScan, path: string, group: RowGroup, { name: column, isNested }: ColumnInfo) =>
  Effect.gen(function*() {
    if (group.rows === 0) return []
    const place = { rowGroup: group.index, column }
    const values = yield* Effect.tryPromise({
      try: async () => scan.readColumn({ column, rowStart: group.firstRow, rowEnd: group.firstRow + group.rows }),
      catch: (cause) => damaged(path, `the data cannot be decoded (${reasonOf(cause)})`, place)
    })
    const problem = columnProblem(values, group, isNested)
    return problem === undefined ? values : yield* damaged(path, problem, place)
  })

const headBytes = 1 << 16

const contentKeyOf = (path: string, file: DiskFile, footer: number) =>
  Effect.tryPromise({
    try: async () => {
      const head = await readExactly(file, 0, Math.min(headBytes, file.size))
      const tail = await readExactly(file, Math.max(0, file.size - footer - 8), file.size)
      return createHash("sha256").update(`${file.size}\n`).update(new Uint8Array(head)).update(new Uint8Array(tail)).digest("hex")
    },
    catch: (cause) => damaged(path, reasonOf(cause))
  })

const chunksOf = (metadata: FileMetaData, group: RowGroup): ReadonlyArray<ChunkInfo> =>
  metadata.row_groups[group.index]!.columns.map(({ meta_data: chunk }) => ({
    column: chunk!.path_in_schema.join("."),
    codec: chunk!.codec,
    encodings: chunk!.encodings,
    values: Number(chunk!.num_values),
    compressedBytes: Number(chunk!.total_compressed_size),
    uncompressedBytes: Number(chunk!.total_uncompressed_size)
  }))

/** Opens a file, checks what it claims about itself, and closes it with the scope. */
export const open = (path: string): Effect.Effect<ParquetFile, ParquetError, Scope.Scope> =>
  Effect.gen(function*() {
    const kind = yield* attempt("look at", path, (disk) => disk.kind(path))
    if (kind === "other") return yield* refuse(path, "notParquet", "this is not a regular file", "check the path")
    const file = yield* Effect.acquireRelease(
      attempt("open", path, (disk) => disk.openToRead(path)),
      (file) => Effect.promise(() => file.close().catch(() => undefined))
    )
    const facts = yield* inspect(path, file)
    const scan = yield* Effect.tryPromise({
      try: () =>
        parquetScan({
          file: asyncBuffer(file),
          metadata: facts.metadata,
          compressors,
          // Bytes that are not declared as text stay bytes.
          utf8: false,
          parsers: { stringFromBytes }
        }),
      catch: (cause) => damaged(path, reasonOf(cause))
    })
    return {
      path,
      bytes: file.size,
      // Some writers leave the footer's own total at 0; the row groups are what is read.
      rows: facts.rowGroups.reduce((sum, group) => sum + group.rows, 0),
      ...facts,
      contentKey: contentKeyOf(path, file, facts.metadata.metadata_length),
      column: (name) => requireColumn({ path, columns: facts.columns }, name),
      chunks: (group) => chunksOf(facts.metadata, group),
      readColumn: (group, column) => decodeColumn(scan, path, group, column),
      readPieces: (group, column) => Stream.fromEffect(decodeColumn(scan, path, group, column))
    } satisfies ParquetFile
  }).pipe(Effect.catchTag("DiskError", (error) => Effect.fail(fromDiskError(path)(error))))

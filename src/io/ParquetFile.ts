/**
 * One open parquet file: its checked metadata and its columns, a row group at a time.
 *
 * Nothing of the file is in memory but the footer and the pages being decoded. What a file claims about itself (sizes,
 * offsets, counts, checksums) is checked before it is believed, and every decoded column is counted.
 *
 * @since 0.1.0
 */
import { Effect, type Scope, Stream } from "effect"
import type { DecodedArray, FileMetaData, SchemaTree } from "hyparquet"
import { createHash } from "node:crypto"
import { type ColumnInfo, columnsOf, requireColumn } from "./parquetColumns.ts"
import { joinArrays } from "./parquet/arrays.ts"
import { chunkPages, type Opened } from "./parquet/chunkPages.ts"
import { alongside, readPieces } from "./parquet/ColumnReader.ts"
import { Damage } from "./parquet/Damage.ts"
import { checkFooter,  metadataBytes, parseFooter, PlacedDamage, trailerBytes } from "./parquet/footer.ts"
import { fromSourceError, ParquetError, type Place } from "./ParquetError.ts"
import type { ByteSource } from "./source/ByteSource.ts"
import { openSource } from "./source/openSource.ts"
import { SourceError } from "./source/SourceError.ts"

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
  /** Another one after every change that the disk or the server lets know of; empty where it says nothing. */
  readonly version: string
  readonly rows: number
  readonly rowGroups: ReadonlyArray<RowGroup>
  /** The columns at the top level, in the file's order. */
  readonly columns: ReadonlyArray<ColumnInfo>
  readonly metadata: FileMetaData
  /** The schema as a tree. */
  readonly tree: SchemaTree
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
  /** Several columns (at least one) side by side, in pieces: each array holds the same rows of its column. */
  readonly readAlongside: (group: RowGroup, columns: ReadonlyArray<ColumnInfo>) => Stream.Stream<ReadonlyArray<DecodedArray>, ParquetError>
  /**
   * The pages of one of {@link chunks} with their headers, as they are stored; sizes, counts and checksums were checked. Each
   * is valid until the next one is asked for.
   */
  readonly storedPages: (group: RowGroup, chunk: number) => Stream.Stream<Uint8Array<ArrayBuffer>, ParquetError>
  /** The footer's bytes, without their length. */
  readonly footer: Effect.Effect<Uint8Array<ArrayBuffer>, ParquetError>
}

const magic = "PAR1"
const smallestFile = 12
const tailBytes = 1 << 16
const remedyForDamage = "fetch or write the file again"

const remedies: Readonly<Record<Damage["reason"], string>> = {
  corrupt: remedyForDamage,
  checksum: remedyForDamage,
  unsupported: "write the file with other settings"
}

/** Anything that reading throws, as an error that names the place. */
const explain = (file: string, place: Place = {}) => (cause: unknown): ParquetError => {
  if (cause instanceof ParquetError) return cause
  if (cause instanceof SourceError) return fromSourceError(file, place)(cause)
  const { message: detail, reason } = cause instanceof Damage ? cause : new Damage(`the data cannot be decoded (${String(cause)})`)
  const known = cause instanceof PlacedDamage ? cause.place : place
  return new ParquetError({ file, reason, detail, remedy: remedies[reason], ...known })
}

const textAt = async (source: ByteSource, begin: number): Promise<string> =>
  Buffer.from(await source.read(begin, Math.min(begin + magic.length, source.size))).toString("latin1")

/** Why a file that does not end as parquet is none. */
const refuse = async (path: string, source: ByteSource, tail: string): Promise<ParquetError> => {
  const fail = (reason: ParquetError["reason"], detail: string, remedy: string) => new ParquetError({ file: path, reason, detail, remedy })
  if (source.size === 0) return fail("emptyFile", "the file is empty (0 bytes)", "write it again, or leave it out of the pattern")
  const head = await textAt(source, 0)
  if (tail === "PARE") return fail("unsupported", "the footer is encrypted", "decrypt the file before reading it")
  if (!magic.startsWith(head) && head !== magic) return fail("notParquet", "this is not a parquet file (it does not start with PAR1)", "check the path")
  return fail("truncated", `the file is cut off after ${source.size} bytes (its footer is missing)`, remedyForDamage)
}

const readFooter = async (path: string, source: ByteSource): Promise<FileMetaData> => {
  const tail = await source.read(Math.max(0, source.size - tailBytes), source.size)
  const end = Buffer.from(tail.slice(-magic.length)).toString("latin1")
  if (end !== magic || source.size < smallestFile) throw await refuse(path, source, end)
  const needed = metadataBytes(tail) + trailerBytes
  if (needed > source.size) throw new Damage(`the footer claims ${needed} bytes of a file of ${source.size}`)
  return parseFooter(needed <= tail.length ? tail : await source.read(source.size - needed, source.size))
}

const headBytes = 1 << 16

const footerOf = (source: ByteSource, footer: number) => source.read(Math.max(0, source.size - footer - trailerBytes), source.size)

const contentKeyOf = async (source: ByteSource, footer: number): Promise<string> => {
  const head = await source.read(0, Math.min(headBytes, source.size))
  const tail = await footerOf(source, footer)
  return createHash("sha256").update(`${source.size}\n`).update(head).update(tail).digest("hex")
}

const rowGroupsOf = (metadata: FileMetaData): ReadonlyArray<RowGroup> => {
  let firstRow = 0
  return metadata.row_groups.map((group, index) => {
    const rows = Number(group.num_rows)
    firstRow += rows
    return { index, firstRow: firstRow - rows, rows }
  })
}

const chunksOf = (metadata: FileMetaData, group: RowGroup): ReadonlyArray<ChunkInfo> =>
  metadata.row_groups[group.index]!.columns.map(({ meta_data: chunk }) => ({
    column: chunk!.path_in_schema.join("."),
    codec: chunk!.codec,
    encodings: chunk!.encodings,
    values: Number(chunk!.num_values),
    compressedBytes: Number(chunk!.total_compressed_size),
    uncompressedBytes: Number(chunk!.total_uncompressed_size)
  }))

const readWhole = async (opened: Opened, group: RowGroup, column: ColumnInfo): Promise<DecodedArray> => {
  const pieces: Array<DecodedArray> = []
  for await (const piece of readPieces(opened, group.index, column.path, group.rows)) pieces.push(piece)
  return joinArrays(pieces)
}

/** The pieces of a column; what they throw names it. */
async function* explained(pieces: AsyncGenerator<DecodedArray>, explain: (cause: unknown) => ParquetError): AsyncGenerator<DecodedArray> {
  try {
    yield* pieces
  } catch (cause) {
    throw explain(cause)
  }
}

const fileOf = (path: string, source: ByteSource, opened: Opened): ParquetFile => {
  const { metadata, schema } = opened
  const rowGroups = rowGroupsOf(metadata)
  const columns = columnsOf(schema.root)
  const placeOf = (group: RowGroup, column: ColumnInfo): Place => ({ rowGroup: group.index, column: column.name })
  const piecesOf = (group: RowGroup, column: ColumnInfo) =>
    explained(readPieces(opened, group.index, column.path, group.rows), explain(path, placeOf(group, column)))
  return {
    path,
    metadata,
    rowGroups,
    columns,
    tree: schema.root,
    bytes: source.size,
    version: source.version,
    rows: rowGroups.reduce((sum, group) => sum + group.rows, 0),
    contentKey: Effect.tryPromise({ try: () => contentKeyOf(source, metadata.metadata_length), catch: explain(path) }),
    column: (name) => requireColumn({ path, columns, tree: schema.root }, name),
    chunks: (group) => chunksOf(metadata, group),
    readColumn: (group, column) =>
      Effect.tryPromise({ try: () => readWhole(opened, group, column), catch: explain(path, placeOf(group, column)) }),
    readPieces: (group, column) =>
      Stream.fromAsyncIterable(piecesOf(group, column), explain(path)),
    readAlongside: (group, all) => Stream.fromAsyncIterable(alongside(all.map((column) => piecesOf(group, column))), explain(path)),
    storedPages: (group, chunk) => {
      const column = metadata.row_groups[group.index]!.columns[chunk]!.meta_data!.path_in_schema.join(".")
      return Stream.fromAsyncIterable(chunkPages(opened, group.index, chunk, ({ bytes }) => bytes), explain(path, { rowGroup: group.index, column }))
    },
    footer: Effect.map(
      Effect.tryPromise({ try: () => footerOf(source, metadata.metadata_length), catch: explain(path) }),
      (bytes) => bytes.subarray(0, -trailerBytes)
    )
  }
}

const inspect = async (path: string, source: ByteSource): Promise<ParquetFile> => {
  const metadata = await readFooter(path, source)
  const schema = checkFooter(metadata, source.size)
  return fileOf(path, source, { schema, metadata, bytes: source.size, read: source.read, windowBytes: source.windowBytes })
}

/** Opens a path, an `http(s)` URL or an `s3://` address; checks what the file claims about itself; closes it with the scope. */
export const open = (path: string): Effect.Effect<ParquetFile, ParquetError, Scope.Scope> =>
  Effect.flatMap(Effect.mapError(openSource(path), fromSourceError(path)), (source) =>
    Effect.tryPromise({
      try: () => inspect(path, source),
      catch: (cause) => cause instanceof ParquetError ? cause : explain(path)(cause)
    }))

/** {@link ParquetFile.version}, without looking into the file. */
export const versionOf = (path: string): Effect.Effect<string, ParquetError> =>
  Effect.scoped(Effect.map(Effect.mapError(openSource(path), fromSourceError(path)), ({ version }) => version))

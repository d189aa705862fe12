/**
 * One column of a row group a page at a time: a row group may be larger than memory.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { type ColumnMetaData, type DecodedArray, type FileMetaData, parquetScan } from "hyparquet"
import { compressors } from "hyparquet-compressors"
import type { ColumnInfo } from "./parquetColumns.ts"
import { fromDiskError, ParquetError } from "./ParquetError.ts"
import type { RowGroup } from "./ParquetFile.ts"
import { type ChunkPlace, type Page, pagesOf } from "./parquetPages.ts"
import { columnProblem, stringFromBytes } from "./parquetValues.ts"
import { openFile } from "./readRange.ts"

/** What is known of the file that a column is read from. */
export interface PiecesOf {
  readonly path: string
  readonly metadata: FileMetaData
  /** The column in one piece. */
  readonly readWhole: Effect.Effect<DecodedArray, ParquetError>
}

// An offset of 0 would read as "no dictionary".
const begin = 4

/** A file of one row group with one column, which consists of one page and the dictionary that it refers to. */
const pageFile = (metadata: FileMetaData, chunk: ColumnMetaData, dictionary: Uint8Array, page: Page) => {
  const bytes = new Uint8Array(begin + dictionary.length + page.bytes.length)
  bytes.set(dictionary, begin)
  bytes.set(page.bytes, begin + dictionary.length)
  const { dictionary_page_offset: _, ...rest } = chunk
  const meta_data: ColumnMetaData = {
    ...rest,
    num_values: BigInt(page.values),
    total_compressed_size: BigInt(bytes.length - begin),
    data_page_offset: BigInt(begin + dictionary.length),
    ...(dictionary.length > 0 ? { dictionary_page_offset: BigInt(begin) } : {})
  }
  const group = { columns: [{ file_offset: 0n, meta_data }], total_byte_size: chunk.total_uncompressed_size, num_rows: BigInt(page.values) }
  return {
    file: { byteLength: bytes.length, slice: (start: number, end?: number) => bytes.buffer.slice(start, end) },
    metadata: { ...metadata, row_groups: [group], num_rows: BigInt(page.values) }
  }
}

const decodePage = async (metadata: FileMetaData, chunk: ColumnMetaData, dictionary: Uint8Array, page: Page, column: string): Promise<DecodedArray> => {
  const scan = await parquetScan({ ...pageFile(metadata, chunk, dictionary, page), compressors, utf8: false, parsers: { stringFromBytes } })
  return scan.readColumn({ column, rowStart: 0, rowEnd: page.values })
}

const damaged = ({ path, rowGroup }: ChunkPlace, column: string, detail: string) =>
  new ParquetError({ file: path, reason: "corrupt", rowGroup, column, detail, remedy: "fetch or write the file again" })

const reasonOf = (cause: unknown) => cause instanceof Error ? cause.message : String(cause)

const decodePages = ({ metadata, path }: PiecesOf, group: RowGroup, column: ColumnInfo, chunk: ColumnMetaData, pages: Stream.Stream<Page, ParquetError>) => {
  const place = { path, rowGroup: group.index }
  const step = Effect.fnUntraced(function*({ dictionary, row }: { dictionary: Uint8Array; row: number }, page: Page) {
    if (page.kind !== "data") return [{ dictionary: page.kind === "dictionary" ? page.bytes : dictionary, row }, []] as const
    const values = yield* Effect.tryPromise({
      try: () => decodePage(metadata, chunk, dictionary, page, column.name),
      catch: (cause) => damaged(place, column.name, `the data cannot be decoded (${reasonOf(cause)})`)
    })
    const problem = columnProblem(values, { index: group.index, firstRow: row, rows: page.values }, false)
    if (problem !== undefined) return yield* damaged(place, column.name, problem)
    return [{ dictionary, row: row + page.values }, [values]] as const
  })
  return pages.pipe(Stream.mapAccumEffect((): { dictionary: Uint8Array; row: number } => ({ dictionary: new Uint8Array(), row: group.firstRow }), step))
}

/** The chunks of a top-level column in one row group. */
export const chunksOf = ({ metadata }: Pick<PiecesOf, "metadata">, group: RowGroup, column: string): ReadonlyArray<ColumnMetaData> =>
  metadata.row_groups[group.index]!.columns.flatMap(({ meta_data }) => meta_data?.path_in_schema[0] === column ? [meta_data] : [])

/**
 * The values of one column of one row group, in order, a page at a time. A column of lists or structs comes in one piece:
 * its pages do not end where rows do.
 */
export const columnPieces = (file: PiecesOf, group: RowGroup, column: ColumnInfo): Stream.Stream<DecodedArray, ParquetError> => {
  if (group.rows === 0) return Stream.empty
  const place = { path: file.path, rowGroup: group.index }
  const [chunk, ...others] = chunksOf(file, group, column.name)
  if (column.isNested || chunk === undefined || others.length > 0) return Stream.fromEffect(file.readWhole)
  if (Number(chunk.num_values) !== group.rows) {
    return Stream.fail(damaged(place, column.name, `${chunk.num_values} values are promised for ${group.rows} rows`))
  }
  return Stream.unwrap(Effect.map(openFile(file.path), (disk) => decodePages(file, group, column, chunk, pagesOf(disk, place, chunk)))).pipe(
    Stream.catchTag("DiskError", (error) => Stream.fail(fromDiskError(file.path)(error)))
  )
}

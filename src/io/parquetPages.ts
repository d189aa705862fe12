/**
 * The pages of one column chunk, as they stand in the file: found, measured and checked, not decoded.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import type { ColumnMetaData } from "hyparquet"
import { deserializeTCompactProtocol } from "hyparquet/src/thrift.js"
import { crc32 } from "node:zlib"
import type { DiskFile } from "./Disk.ts"
import { fromDiskError, ParquetError } from "./ParquetError.ts"
import { readRange } from "./readRange.ts"

/** One page: its header and its data, compressed as in the file. */
export interface Page {
  readonly kind: "data" | "dictionary" | "other"
  /** Header and data. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Values of a data page, nulls and (in lists) every element counted. */
  readonly values: number
}

/** Which chunk of which file: what an error names. */
export interface ChunkPlace {
  readonly path: string
  readonly rowGroup: number
}

/** The bytes of a chunk, from its first page (that of its dictionary, where it has one) to its end. */
const chunkRange = (chunk: ColumnMetaData): { readonly start: number; readonly end: number } => {
  const [dictionary, data] = [Number(chunk.dictionary_page_offset ?? 0), Number(chunk.data_page_offset)]
  const start = dictionary > 0 ? Math.min(dictionary, data) : data
  return { start, end: start + Number(chunk.total_compressed_size) }
}

interface Header {
  readonly type: number
  readonly size: number
  readonly checksum: number | undefined
  readonly values: number
  /** Bytes of the header itself. */
  readonly bytes: number
}

/** What headers fill: a page header holds two or three statistics values at most, so this is ample for nearly all. */
const firstGuess = 512
const largestHeader = 16 * 1024 * 1024

const dataPage = 0, dictionaryPage = 2, dataPageV2 = 3

const parseHeader = (bytes: Uint8Array<ArrayBuffer>): Header | undefined => {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 }
  try {
    const fields = deserializeTCompactProtocol(reader)
    const values = fields.field_5?.field_1 ?? fields.field_8?.field_1 ?? 0
    return { type: fields.field_1, size: fields.field_3, checksum: fields.field_4, values, bytes: reader.offset }
  } catch {
    return undefined
  }
}

/** Reads a header, with more bytes while it does not end; undefined where it is none. */
const readHeader = (file: DiskFile, path: string, start: number, end: number) =>
  Effect.gen(function*() {
    for (let guess = firstGuess; guess <= largestHeader; guess *= 8) {
      const stop = Math.min(end, start + guess)
      const header = parseHeader(yield* readRange(file, path, start, stop))
      if (header !== undefined || stop === end) return header
    }
    return undefined
  })

const isPlausible = ({ bytes, size, values }: Header, start: number, end: number): boolean =>
  Number.isInteger(size) && size >= 0 && start + bytes + size <= end && Number.isInteger(values) && values >= 0

const kindOf = (type: number): Page["kind"] =>
  type === dataPage || type === dataPageV2 ? "data" : type === dictionaryPage ? "dictionary" : "other"

/**
 * Reads a chunk page by page, so that memory holds one. Fails with `ParquetError` where headers, sizes, counts or (in
 * files that carry them) checksums do not fit.
 */
export const pagesOf = (file: DiskFile, place: ChunkPlace, chunk: ColumnMetaData): Stream.Stream<Page, ParquetError> => {
  const { path, rowGroup } = place
  const damaged = (detail: string) =>
    new ParquetError({
      file: path,
      reason: "corrupt",
      rowGroup,
      column: chunk.path_in_schema.join("."),
      detail,
      remedy: "fetch or write the file again"
    })
  const { end, start } = chunkRange(chunk)
  const readPage = Effect.fnUntraced(function*(at: number) {
    const header = yield* readHeader(file, path, at, end)
    if (header === undefined || !isPlausible(header, at, end)) return yield* damaged(`the page at byte ${at} has no valid header`)
    const next = at + header.bytes + header.size
    const bytes = yield* readRange(file, path, at, next)
    if (header.checksum !== undefined && crc32(bytes.subarray(header.bytes)) !== header.checksum >>> 0) {
      return yield* damaged(`the page at byte ${at} is damaged (its checksum differs)`)
    }
    return { next, page: { kind: kindOf(header.type), bytes, values: kindOf(header.type) === "data" ? header.values : 0 } }
  }, Effect.catchTag("DiskError", (error) => Effect.fail(fromDiskError(path)(error))))
  return Stream.unfold({ at: start, values: 0 }, ({ at, values }) =>
    at < end
      ? Effect.map(readPage(at), ({ next, page }) => [page, { at: next, values: values + page.values }] as const)
      : values === Number(chunk.num_values)
        ? Effect.succeed(undefined)
        : Effect.fail(damaged(`its pages hold ${values} values where ${chunk.num_values} are promised`)))
}

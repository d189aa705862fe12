/**
 * The walk over a column chunk's pages: for those who decode them and for those who carry them on as they are.
 *
 * @source https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (PageHeader)
 * @since 0.1.0
 */
import type { ColumnMetaData, FileMetaData, PageHeader } from "hyparquet"
import { crc32 } from "node:zlib"
import { ChunkReader, type ReadBytes, type StoredPage } from "./ChunkReader.ts"
import { Damage, require } from "./Damage.ts"
import { readRange } from "./footer.ts"
import type { FileSchema } from "./schema.ts"

/** What the columns of a file are read with. */
export interface Opened {
  readonly schema: FileSchema
  readonly metadata: FileMetaData
  readonly bytes: number
  readonly read: ReadBytes
  /** Bytes fetched at once from a column chunk. */
  readonly windowBytes: number
}

/** The chunk of a leaf, numbered as in {@link FileSchema}, in a row group. */
export const chunkOf = ({ metadata }: Opened, group: number, leaf: number): ColumnMetaData => {
  const { crypto_metadata: encryption, meta_data: chunk } = metadata.row_groups[group]!.columns[leaf]!
  if (encryption !== undefined || chunk === undefined) throw new Damage("the column is encrypted", "unsupported")
  return chunk
}

/** Bytes of a page, decompressed, that are still taken on. */
const largestPage = 1 << 30

const dataPages: ReadonlySet<PageHeader["type"]> = new Set(["DATA_PAGE", "DATA_PAGE_V2"])
const otherPages: ReadonlySet<PageHeader["type"]> = new Set(["DICTIONARY_PAGE", "INDEX_PAGE"])

/** Entries of a page of data: values, nulls, and in lists every element and every empty list. */
const entriesIn = ({ data_page_header: first, data_page_header_v2: second, type }: PageHeader, promised: number): number => {
  if (!dataPages.has(type)) return 0
  const count = (type === "DATA_PAGE" ? first : second)?.num_values
  if (count === undefined) throw new Damage("a data page has no header of its own")
  require(count >= 0 && count <= promised, () => `a page claims ${count} values of ${promised}`)
  return count
}

/** Checks what can be known of a page without decoding it. */
class Checks {
  readonly #chunk: ColumnMetaData
  #checksums: boolean | undefined

  constructor(chunk: ColumnMetaData) {
    this.#chunk = chunk
  }

  /** The checksum, where there is one (if one data page of a chunk has one, all must), and the sizes. */
  verify({ crc, type, uncompressed_page_size: size }: PageHeader, stored: Uint8Array): void {
    if (!dataPages.has(type) && !otherPages.has(type)) throw new Damage("a page of an unknown kind is in the column", "unsupported")
    if (type !== "DICTIONARY_PAGE") this.#checksums ??= crc !== undefined
    require(type === "DICTIONARY_PAGE" || this.#checksums === (crc !== undefined), "some pages of the column have a checksum and others none")
    if (crc !== undefined && crc32(stored) !== crc >>> 0) throw new Damage("the checksum (CRC-32) does not fit the bytes", "checksum")
    if (size > largestPage) throw new Damage(`a page of ${size} bytes is too large (at most ${largestPage})`, "unsupported")
    const most = Number(this.#chunk.total_uncompressed_size)
    require(size <= most, () => `a page claims ${size} bytes of a column of ${most}`)
  }
}

/** Damage with the page it was found in. */
const placed = (page: number, cause: unknown): unknown => {
  if (cause instanceof Damage) return new Damage(`page ${page}: ${cause.message}`, cause.reason)
  return cause instanceof RangeError || cause instanceof TypeError ? new Damage(`page ${page}: the data cannot be decoded (${cause.message})`) : cause
}

/**
 * The pages of a leaf in a row group, each as `use` makes it, up to the last one that has entries; together they have as many
 * as the footer promises, or it throws {@link Damage}. What `use` throws gets its page's number.
 */
export async function* chunkPages<A>(opened: Opened, group: number, leaf: number, use: (page: StoredPage) => A): AsyncGenerator<A> {
  const chunk = chunkOf(opened, group, leaf)
  const [begin, end] = readRange(chunk, opened.metadata, opened.bytes)
  const reader = new ChunkReader(opened.read, begin, end, opened.windowBytes)
  const checks = new Checks(chunk)
  const promised = Number(chunk.num_values)
  for (let [count, page] = [0, 0]; count < promised; page++) {
    const next = await reader.next()
    if (next === undefined) throw new Damage(`the column ends after ${count} of ${promised} values`)
    let made: A
    try {
      checks.verify(next.header, next.stored)
      count += entriesIn(next.header, promised)
      made = use(next)
    } catch (cause) {
      throw placed(page, cause)
    }
    require(count <= promised, `the column has more than the ${promised} values that are promised`)
    yield made
  }
}

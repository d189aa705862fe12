/**
 * The pages of a column chunk, one after the other: headers parsed, values decoded.
 *
 * @source https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (PageHeader)
 * @since 0.1.0
 */
import type { ColumnMetaData, DecodedArray, Encoding, PageHeader } from "hyparquet"
import { parquetHeader } from "hyparquet/src/column.js"
import { Damage, require } from "./Damage.ts"
import { decompress } from "./decompress.ts"
import { type Cursor, readHybrid, readUint32 } from "./hybrid.ts"
import { dictionaryValues, pageValues } from "./pageValues.ts"
import type { Leaf } from "./schema.ts"
import { endOfStruct } from "./thrift.ts"

/** A stretch of a flat column: `count` entries, of which those at the leaf's highest level have a value. */
export interface LeafPage {
  readonly count: number
  /** A level for each entry; absent where all are the highest. */
  readonly definition: Uint8Array | undefined
  /** A level for each entry; absent where the leaf is in no list. */
  readonly repetition: Uint8Array | undefined
  readonly values: DecodedArray
}

/** Parses the header at `offset`; throws `EndOfBytes` where it is cut off. */
export const readHeader = (bytes: Uint8Array<ArrayBuffer>, offset: number): { readonly header: PageHeader; readonly end: number } => {
  const end = endOfStruct(bytes, offset)
  const view = new DataView(bytes.buffer, bytes.byteOffset, end)
  const header = parquetHeader({ view, offset })
  const sizes = [header.compressed_page_size, header.uncompressed_page_size]
  require(sizes.every((size) => Number.isSafeInteger(size) && size >= 0), `a page claims ${sizes.join(" and ")} bytes`)
  return { header, end }
}

const widthOf = (level: number): number => 32 - Math.clz32(level)

/** Levels of `count` entries; undefined where all have the highest one. */
const readLevels = (cursor: Cursor, count: number, highest: number): Uint8Array | undefined => {
  const levels = new Uint8Array(count)
  readHybrid(cursor, widthOf(highest), levels)
  let below = false
  for (const level of levels) {
    if (level > highest) throw new Damage(`a level of ${level} is in a column that ends at ${highest}`)
    below ||= level < highest
  }
  return below ? levels : undefined
}

const within = (cursor: Cursor, length: number): Cursor => {
  const end = cursor.offset + length
  require(length >= 0 && end <= cursor.end, "the levels are longer than their page")
  return { bytes: cursor.bytes, offset: cursor.offset, end }
}

/** In a page of version 1 the levels begin with their length. */
const sizedLevels = (cursor: Cursor, count: number, highest: number, encoding: Encoding | undefined): Uint8Array | undefined => {
  require(encoding === "RLE", `levels in the encoding ${encoding} are not supported`)
  const part = within(cursor, readUint32(cursor))
  cursor.offset = part.end
  return readLevels(part, count, highest)
}

const valuesAt = (definition: Uint8Array | undefined, count: number, highest: number): number => {
  if (definition === undefined) return count
  let found = 0
  for (const level of definition) if (level === highest) found++
  return found
}

/** Repetition levels as they are needed later: present whenever the leaf is in a list. */
const repetitionOf = (levels: Uint8Array | undefined, count: number, highest: number): Uint8Array =>
  levels ?? new Uint8Array(count).fill(highest)

/** Decodes the pages of one column chunk, in order. */
export class PageDecoder {
  readonly #leaf: Leaf
  readonly #chunk: ColumnMetaData
  #dictionary: DecodedArray | undefined

  constructor(leaf: Leaf, chunk: ColumnMetaData) {
    this.#leaf = leaf
    this.#chunk = chunk
  }

  /** Decodes one page from its stored bytes; undefined where it is no page of data. */
  decode(header: PageHeader, stored: Uint8Array<ArrayBuffer>): LeafPage | undefined {
    if (header.type === "DATA_PAGE") return this.#dataPage(header, stored)
    if (header.type === "DATA_PAGE_V2") return this.#dataPageV2(header, stored)
    if (header.type === "DICTIONARY_PAGE") this.#dictionaryPage(header, stored)
    else if (header.type !== "INDEX_PAGE") throw new Damage("a page of an unknown kind is in the column", "unsupported")
    return undefined
  }

  #checkEncoding(encoding: Encoding | undefined): void {
    const listed = this.#chunk.encodings
    // Some writers list only part of them; PLAIN is what they forget.
    require(encoding === "PLAIN" || listed === undefined || listed.length === 0 || encoding !== undefined && listed.includes(encoding), () => `the encoding ${encoding} is not among those of the column`)
  }

  #dictionaryPage({ dictionary_page_header: dictionary, uncompressed_page_size: size }: PageHeader, stored: Uint8Array<ArrayBuffer>): void {
    require(this.#dictionary === undefined, "the column has two dictionaries")
    if (dictionary === undefined) throw new Damage("a dictionary page has no header of its own")
    const { num_values: count } = dictionary
    require(count >= 0 && count <= size * 8, () => `the dictionary claims ${count} values`)
    this.#dictionary = dictionaryValues(decompress(this.#chunk.codec, stored, size), this.#leaf.element, count)
  }

  #dataPage({ data_page_header: data, uncompressed_page_size: size }: PageHeader, stored: Uint8Array<ArrayBuffer>): LeafPage {
    if (data === undefined) throw new Damage("a data page has no header of its own")
    const { encoding, num_values: count } = data
    this.#checkEncoding(encoding)
    const { maxDefinition, maxRepetition } = this.#leaf
    const bytes = decompress(this.#chunk.codec, stored, size)
    const cursor: Cursor = { bytes, offset: 0, end: bytes.length }
    const repetition = maxRepetition === 0 ? undefined : repetitionOf(sizedLevels(cursor, count, maxRepetition, data.repetition_level_encoding), count, maxRepetition)
    const definition = maxDefinition === 0 ? undefined : sizedLevels(cursor, count, maxDefinition, data.definition_level_encoding)
    return { count, definition, repetition, values: this.#values(cursor, encoding, definition, count) }
  }

  #dataPageV2({ data_page_header_v2: data, uncompressed_page_size: size }: PageHeader, stored: Uint8Array<ArrayBuffer>): LeafPage {
    if (data === undefined) throw new Damage("a data page has no header of its own")
    const { definition_levels_byte_length: definitionBytes, encoding, num_values: count, repetition_levels_byte_length: repetitionBytes } = data
    this.#checkEncoding(encoding)
    const { maxDefinition, maxRepetition } = this.#leaf
    const all: Cursor = { bytes: stored, offset: 0, end: stored.length }
    const first = within(all, repetitionBytes)
    const second = within({ ...all, offset: first.end }, definitionBytes)
    const repetition = maxRepetition === 0 ? undefined : repetitionOf(readLevels(first, count, maxRepetition), count, maxRepetition)
    const definition = maxDefinition === 0 ? undefined : readLevels(second, count, maxDefinition)
    this.#checkNulls(definition, count, data.num_nulls)
    const rest = stored.subarray(second.end)
    const length = size - second.end
    require(length >= 0, "the levels are longer than their page")
    const bytes = data.is_compressed === false ? decompress("UNCOMPRESSED", rest, length) : decompress(this.#chunk.codec, rest, length)
    const values = this.#values({ bytes, offset: 0, end: bytes.length }, encoding, definition, count)
    return { count, definition, repetition, values }
  }

  #checkNulls(definition: Uint8Array | undefined, count: number, promised: number): void {
    const nulls = count - valuesAt(definition, count, this.#leaf.maxDefinition)
    require(nulls === promised, `a page has ${nulls} nulls where ${promised} are promised`)
  }

  #values(cursor: Cursor, encoding: Encoding, definition: Uint8Array | undefined, count: number): DecodedArray {
    const { element, maxDefinition } = this.#leaf
    const values = pageValues(cursor, element, encoding, valuesAt(definition, count, maxDefinition), this.#dictionary)
    require(cursor.end - cursor.offset <= 1 || values.length === 0, () => `${cursor.end - cursor.offset} bytes are left over in a page`)
    return values
  }
}

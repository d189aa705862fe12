/**
 * The values of one page, by encoding. hyparquet decodes where its decoder cannot be led astray; counts, lengths and
 * prefixes that a page claims are checked against its bytes.
 *
 * @source https://parquet.apache.org/docs/file-format/data-pages/encodings/
 * @since 0.1.0
 */
import type { DecodedArray, Encoding, SchemaElement } from "hyparquet"
import { deltaBinaryUnpack } from "hyparquet/src/delta.js"
import { byteStreamSplit } from "hyparquet/src/encoding.js"
import { readPlain } from "hyparquet/src/plain.js"
import { convert, isText, textOf } from "./convert.ts"
import { Damage, require } from "./Damage.ts"
import { type Cursor, readHybrid, readUint32, readVarint } from "./hybrid.ts"

const tooShort = "the page holds fewer values than it promises"

const bufferOf = ({ bytes }: Cursor): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

/** hyparquet's reader over the rest of the page; `advance` takes its position over. */
const withReader = <A>(cursor: Cursor, read: (reader: { view: DataView; offset: number }) => A): A => {
  const { bytes, end, offset } = cursor
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset + offset, end - offset), offset: 0 }
  const value = read(reader)
  require(reader.offset <= reader.view.byteLength, tooShort)
  cursor.offset = offset + reader.offset
  return value
}

const widths: Readonly<Record<string, number>> = { INT32: 4, INT64: 8, INT96: 12, FLOAT: 4, DOUBLE: 8 }

const widthOf = ({ type, type_length: length = 0 }: SchemaElement): number => widths[type ?? ""] ?? length

const byteArrays = <A>(cursor: Cursor, count: number, valueOf: (bytes: Buffer, begin: number, end: number) => A): Array<A> => {
  const buffer = bufferOf(cursor)
  require(count * 4 <= cursor.end - cursor.offset, tooShort)
  const values: Array<A> = []
  for (let i = 0; i < count; i++) {
    const begin = cursor.offset + 4
    const end = begin + readUint32(cursor)
    require(end <= cursor.end, "a text or byte string is longer than its page")
    values.push(valueOf(buffer, begin, end))
    cursor.offset = end
  }
  return values
}

const bytesOf = (bytes: Buffer, begin: number, end: number): Uint8Array =>
  new Uint8Array(bytes.buffer, bytes.byteOffset + begin, end - begin)

/** Nanoseconds of the day, then the Julian day: `day · 2⁶⁴ + nanoseconds`, the latter with a sign. */
const int96s = (cursor: Cursor, count: number): Array<bigint> => {
  const view = new DataView(cursor.bytes.buffer, cursor.bytes.byteOffset + cursor.offset, count * 12)
  cursor.offset += count * 12
  return Array.from({ length: count }, (_, i) => (BigInt(view.getUint32(i * 12 + 8, true)) << 64n) + BigInt.asUintN(64, view.getBigInt64(i * 12, true)))
}

const plain = (cursor: Cursor, element: SchemaElement, count: number): DecodedArray => {
  if (element.type === "BYTE_ARRAY") {
    return isText(element) ? byteArrays(cursor, count, textOf) : convert(byteArrays(cursor, count, bytesOf), element)
  }
  const needed = element.type === "BOOLEAN" ? Math.ceil(count / 8) : count * widthOf(element)
  require(needed <= cursor.end - cursor.offset, tooShort)
  if (element.type === "INT96") return convert(int96s(cursor, count), element)
  return convert(withReader(cursor, (reader) => readPlain(reader, element.type!, count, element.type_length)), element)
}

/** The header of a delta block, looked at before hyparquet believes it. */
const checkDelta = (cursor: Cursor, count: number): void => {
  const ahead = { ...cursor }
  const [block, miniblocks, total] = [readVarint(ahead), readVarint(ahead), readVarint(ahead)]
  const sound = block >= 1 && block <= 1 << 20 && miniblocks >= 1 && miniblocks <= block && block % miniblocks === 0
  require(sound, `a delta block of ${block} values in ${miniblocks} parts is not possible`)
  require(total === count, `the page holds ${total} values where ${count} are promised`)
}

const deltas = <A extends Int32Array | BigInt64Array>(cursor: Cursor, count: number, values: A): A => {
  checkDelta(cursor, count)
  withReader(cursor, (reader) => deltaBinaryUnpack(reader, count, values))
  return values
}

const lengths = (cursor: Cursor, count: number): Int32Array => {
  const values = deltas(cursor, count, new Int32Array(count))
  require(values.every((length) => length >= 0), "a text or byte string has a negative length")
  return values
}

const deltaLengthByteArrays = (cursor: Cursor, count: number): Array<Uint8Array> => {
  const buffer = bufferOf(cursor)
  return Array.from(lengths(cursor, count), (length) => {
    const begin = cursor.offset
    require(begin + length <= cursor.end, "a text or byte string is longer than its page")
    cursor.offset = begin + length
    return bytesOf(buffer, begin, begin + length)
  })
}

/** Each value begins with as many bytes of the one before as its prefix says. */
const deltaByteArrays = (cursor: Cursor, count: number): Array<Uint8Array> => {
  const prefixes = lengths(cursor, count)
  let before = new Uint8Array()
  return deltaLengthByteArrays(cursor, count).map((suffix, i) => {
    const prefix = prefixes[i]!
    require(prefix <= before.length, "a value shares more bytes with the one before than that has")
    const value = new Uint8Array(prefix + suffix.length)
    value.set(before.subarray(0, prefix))
    value.set(suffix, prefix)
    return (before = value)
  })
}

const split = (cursor: Cursor, element: SchemaElement, count: number): DecodedArray => {
  require(widthOf(element) > 0 && count * widthOf(element) <= cursor.end - cursor.offset, tooShort)
  return withReader(cursor, (reader) => byteStreamSplit(reader, count, element.type!, element.type_length))
}

const booleans = (cursor: Cursor, count: number, sized: boolean): Array<boolean> => {
  const bits = new Uint8Array(count)
  const end = sized ? readUint32(cursor) + cursor.offset : cursor.end
  require(end <= cursor.end, tooShort)
  readHybrid(cursor, 1, bits)
  cursor.offset = end
  return Array.from(bits, (bit) => bit === 1)
}

const indices = (cursor: Cursor, count: number): Int32Array => {
  const values = new Int32Array(count)
  if (count === 0 && cursor.offset === cursor.end) return values
  const width = cursor.bytes[cursor.offset++]
  require(width !== undefined && cursor.offset <= cursor.end && width <= 32, "the page has no width of its dictionary indices")
  // A dictionary of one entry needs no bits: some writers leave the indices out altogether.
  if (width! > 0 || cursor.offset < cursor.end) readHybrid(cursor, width!, values)
  return values
}

const outside = "a value points outside the dictionary"

/** Looks every index up; the result has the type of the dictionary. */
const lookUp = (dictionary: DecodedArray, found: Int32Array): DecodedArray => {
  const size = dictionary.length
  const values: DecodedArray = Array.isArray(dictionary)
    ? []
    : new (dictionary.constructor as new(length: number) => Exclude<DecodedArray, Array<unknown>>)(found.length)
  for (let i = 0; i < found.length; i++) {
    const index = found[i]!
    if (index < 0 || index >= size) throw new Damage(outside)
    values[i] = dictionary[index]
  }
  return values
}

const isDictionary = (encoding: Encoding): boolean => encoding === "PLAIN_DICTIONARY" || encoding === "RLE_DICTIONARY"

const encoded = (cursor: Cursor, element: SchemaElement, encoding: Encoding, count: number): DecodedArray => {
  const { type } = element
  if (encoding === "DELTA_BINARY_PACKED" && type === "INT32") return deltas(cursor, count, new Int32Array(count))
  if (encoding === "DELTA_BINARY_PACKED" && type === "INT64") return deltas(cursor, count, new BigInt64Array(count))
  const isBytes = type === "BYTE_ARRAY" || type === "FIXED_LEN_BYTE_ARRAY"
  if (encoding === "DELTA_LENGTH_BYTE_ARRAY" && type === "BYTE_ARRAY") return deltaLengthByteArrays(cursor, count)
  if (encoding === "DELTA_BYTE_ARRAY" && isBytes) return deltaByteArrays(cursor, count)
  if (encoding === "BYTE_STREAM_SPLIT") return split(cursor, element, count)
  throw new Damage(`the encoding ${encoding ?? "(unknown)"} of ${type} values is not supported`, "unsupported")
}

/** The values of a dictionary page. */
export const dictionaryValues = (bytes: Uint8Array, element: SchemaElement, count: number): DecodedArray => {
  const cursor = { bytes, offset: 0, end: bytes.length }
  const values = plain(cursor, element, count)
  require(cursor.offset === cursor.end, "the dictionary does not fill its page")
  return values
}

/** The `count` values (nulls left out) from the cursor to the end of the page. `sized`: booleans begin with a length. */
export const pageValues = (
  cursor: Cursor,
  element: SchemaElement,
  encoding: Encoding,
  count: number,
  dictionary: DecodedArray | undefined
): DecodedArray => {
  if (isDictionary(encoding)) {
    const found = indices(cursor, count)
    if (count === 0) return []
    if (dictionary === undefined) throw new Damage("the page needs a dictionary, but the column has none")
    return lookUp(dictionary, found)
  }
  if (encoding === "PLAIN") return plain(cursor, element, count)
  if (encoding === "RLE" && element.type === "BOOLEAN") return booleans(cursor, count, true)
  return count === 0 ? [] : convert(encoded(cursor, element, encoding, count), element)
}

/**
 * MessagePack, read from an open file without its bulk: long runs of bytes are located, not loaded.
 *
 * Depth, number of values and length of texts have caps, and every length is checked against the end of the file before
 * anything is read, so memory follows the number of values and not what the file claims.
 *
 * @source https://github.com/msgpack/msgpack/blob/master/spec.md
 * @since 0.1.0
 */
import type { DiskFile } from "../Disk.ts"
import type { Fail } from "./FlaxFileError.ts"

/** Bytes that were left in the file: `begin ≤ byte < end`; `extension` is their type where they have one. */
export class LocatedBytes {
  readonly begin: number
  readonly end: number
  readonly extension: number | undefined
  constructor(begin: number, end: number, extension?: number) {
    this.begin = begin
    this.end = end
    this.extension = extension
  }
}

export interface MessageMap extends Map<string, MessageValue> {}

/** A value of the file. Whole numbers of more than 53 bits are bigints. */
export type MessageValue = null | boolean | number | bigint | string | LocatedBytes | Array<MessageValue> | MessageMap

const deepest = 64
const mostValues = 1 << 15
const longestText = 1 << 16
const windowBytes = 1 << 16

interface Reader {
  readonly file: DiskFile
  readonly fail: Fail
  readonly end: number
  position: number
  values: number
  window: Uint8Array
  windowBegin: number
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Moves over `length` bytes and returns where they begin. */
const advance = (reader: Reader, length: number): number => {
  const begin = reader.position
  if (!(length <= reader.end - begin)) throw reader.fail("badMessage", `${length} bytes are claimed where ${reader.end - begin} are left`, { position: begin })
  reader.position = begin + length
  return begin
}

const fill = async (reader: Reader, begin: number): Promise<void> => {
  const window = new Uint8Array(Math.min(windowBytes, reader.end - begin))
  let read = 0
  while (read < window.length) {
    const count = await reader.file.read(window.subarray(read), begin + read)
    if (count === 0) throw reader.fail("badMessage", "the file ended while being read", { position: begin + read })
    read += count
  }
  reader.window = window
  reader.windowBegin = begin
}

/** The next `length` bytes, at most {@link longestText} of them. */
const take = async (reader: Reader, length: number): Promise<DataView> => {
  const begin = advance(reader, length)
  if (begin < reader.windowBegin || begin + length > reader.windowBegin + reader.window.length) await fill(reader, begin)
  return new DataView(reader.window.buffer, begin - reader.windowBegin, length)
}

const unsigned = async (reader: Reader, bytes: number): Promise<number> => {
  const view = await take(reader, bytes)
  return bytes === 1 ? view.getUint8(0) : bytes === 2 ? view.getUint16(0) : view.getUint32(0)
}

const whole = (value: bigint): number | bigint => Number.isSafeInteger(Number(value)) ? Number(value) : value

const text = async (reader: Reader, length: number): Promise<string> => {
  if (length > longestText) throw reader.fail("limit", `a text of ${length} bytes is claimed`, { position: reader.position })
  const position = reader.position
  const view = await take(reader, length)
  try {
    return utf8.decode(view)
  } catch {
    throw reader.fail("badMessage", "a text is not UTF-8", { position })
  }
}

const bytes = (reader: Reader, length: number, extension?: number): LocatedBytes => {
  const begin = advance(reader, length)
  return new LocatedBytes(begin, begin + length, extension)
}

const extension = async (reader: Reader, length: number): Promise<LocatedBytes> => {
  const type = (await take(reader, 1)).getInt8(0)
  return bytes(reader, length, type)
}

const array = async (reader: Reader, length: number, depth: number): Promise<Array<MessageValue>> => {
  const items: Array<MessageValue> = []
  for (let i = 0; i < length; i++) items.push(await value(reader, depth + 1))
  return items
}

const map = async (reader: Reader, length: number, depth: number): Promise<MessageMap> => {
  const entries: MessageMap = new Map()
  for (let i = 0; i < length; i++) {
    const position = reader.position
    const key = await value(reader, depth + 1)
    if (typeof key !== "string") throw reader.fail("unsupported", "a map has a key that is no text", { position })
    if (entries.has(key)) throw reader.fail("badMessage", `a map has the key ${JSON.stringify(key.slice(0, 100))} twice`, { position })
    entries.set(key, await value(reader, depth + 1))
  }
  return entries
}

/** A number, from its type byte 0xca–0xd3. */
const number = async (reader: Reader, type: number): Promise<number | bigint> => {
  switch (type) {
    case 0xca:
      return (await take(reader, 4)).getFloat32(0)
    case 0xcb:
      return (await take(reader, 8)).getFloat64(0)
    case 0xcf:
      return whole((await take(reader, 8)).getBigUint64(0))
    case 0xd0:
      return (await take(reader, 1)).getInt8(0)
    case 0xd1:
      return (await take(reader, 2)).getInt16(0)
    case 0xd2:
      return (await take(reader, 4)).getInt32(0)
    case 0xd3:
      return whole((await take(reader, 8)).getBigInt64(0))
    default:
      return unsigned(reader, 1 << (type - 0xcc))
  }
}

const constant = (reader: Reader, type: number): null | boolean => {
  if (type === 0xc1) throw reader.fail("badMessage", "byte 0xc1 begins no value", { position: reader.position - 1 })
  return type === 0xc0 ? null : type === 0xc3
}

/** A value whose type byte is 0xc0–0xdf: the kinds lie in a row. */
const long = async (reader: Reader, type: number, depth: number): Promise<MessageValue> => {
  if (type <= 0xc3) return constant(reader, type)
  if (type <= 0xc6) return bytes(reader, await unsigned(reader, 1 << (type - 0xc4)))
  if (type <= 0xc9) return extension(reader, await unsigned(reader, 1 << (type - 0xc7)))
  if (type <= 0xd3) return number(reader, type)
  if (type <= 0xd8) return extension(reader, 1 << (type - 0xd4))
  if (type <= 0xdb) return text(reader, await unsigned(reader, 1 << (type - 0xd9)))
  if (type <= 0xdd) return array(reader, await unsigned(reader, type === 0xdc ? 2 : 4), depth)
  return map(reader, await unsigned(reader, type === 0xde ? 2 : 4), depth)
}

const value = async (reader: Reader, depth: number): Promise<MessageValue> => {
  const position = reader.position
  if (depth > deepest) throw reader.fail("limit", `its values nest deeper than ${deepest} levels`, { position })
  if (++reader.values > mostValues) throw reader.fail("limit", `it holds more than ${mostValues} values`, { position })
  const type = await unsigned(reader, 1)
  if (type < 0x80) return type
  if (type < 0x90) return map(reader, type & 0x0f, depth)
  if (type < 0xa0) return array(reader, type & 0x0f, depth)
  if (type < 0xc0) return text(reader, type & 0x1f)
  return type >= 0xe0 ? type - 0x100 : long(reader, type, depth)
}

/** Reads the one value that fills `begin ≤ byte < end` of a file; rejects with a FlaxFileError or the disk's own error. */
export const readMessage = async (file: DiskFile, begin: number, end: number, fail: Fail): Promise<MessageValue> => {
  const reader: Reader = { file, fail, end, position: begin, values: 0, window: new Uint8Array(), windowBegin: begin }
  const found = await value(reader, 0)
  if (reader.position !== end) throw fail("badMessage", `${end - reader.position} bytes follow behind its end`, { position: reader.position })
  return found
}

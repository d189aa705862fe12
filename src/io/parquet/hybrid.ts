/**
 * Parquet's run-length and bit-packed hybrid: how levels, dictionary indices and booleans are stored.
 *
 * @source https://parquet.apache.org/docs/file-format/data-pages/encodings/
 * @since 0.1.0
 */
import { Damage, require } from "./Damage.ts"

/** A position in the bytes of a page: reads may not pass `end`. */
export interface Cursor {
  readonly bytes: Uint8Array
  offset: number
  readonly end: number
}

/** Little-endian 32 bits without sign. */
export const readUint32 = (cursor: Cursor): number => {
  const { bytes, end, offset } = cursor
  require(offset + 4 <= end, "the page ends too early")
  cursor.offset = offset + 4
  return (bytes[offset]! | bytes[offset + 1]! << 8 | bytes[offset + 2]! << 16 | bytes[offset + 3]! << 24) >>> 0
}

/** An unsigned number of at most 32 bits, 7 bits a byte. */
export const readVarint = (cursor: Cursor): number => {
  let value = 0
  for (let i = 0; i < 5; i++) {
    require(cursor.offset < cursor.end, "the page ends too early")
    const part = cursor.bytes[cursor.offset++]!
    value += (part & 0x7f) * 2 ** (7 * i)
    if (part < 0x80) return value
  }
  throw new Damage("a number of more than 32 bits is in the page")
}

type Output = Uint8Array | Int32Array

const readRun = (cursor: Cursor, width: number, output: Output, from: number, to: number): void => {
  let value = 0
  for (let shift = 0; shift < width; shift += 8) {
    require(cursor.offset < cursor.end, "the page ends too early")
    value |= cursor.bytes[cursor.offset++]! << shift
  }
  require(width === 32 || value >>> width === 0, () => `a run holds ${value >>> 0}, which is no number of ${width} bits`)
  output.fill(value, from, to)
}

/** Numbers of up to 24 bits: four bytes hold one wherever it begins. */
const unpackNarrow = (bytes: Uint8Array, start: number, width: number, output: Output, from: number, to: number): void => {
  const mask = (1 << width) - 1
  for (let i = from, bit = 0; i < to; i++, bit += width) {
    const at = start + (bit >>> 3)
    const word = bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24
    output[i] = word >>> (bit & 7) & mask
  }
}

const unpackWide = (bytes: Uint8Array, start: number, width: number, output: Output, from: number, to: number): void => {
  for (let i = from, bit = 0; i < to; i++, bit += width) {
    const at = start + (bit >>> 3)
    let word = 0
    for (let k = 4; k >= 0; k--) word = word * 256 + (bytes[at + k] ?? 0)
    output[i] = Math.floor(word / 2 ** (bit & 7)) % 2 ** width
  }
}

const readPacked = (cursor: Cursor, groups: number, width: number, output: Output, from: number): number => {
  // No encoder packs many numbers of no bits: it would write one run. (apache/parquet-testing, bad_data/ARROW-GH-43605)
  require(width > 0 || groups <= 1, "packed numbers have a width of 0 bits")
  const to = Math.min(from + groups * 8, output.length)
  const needed = Math.ceil(((to - from) * width) / 8)
  require(cursor.offset + needed <= cursor.end, "the page ends inside packed numbers")
  if (width <= 24) unpackNarrow(cursor.bytes, cursor.offset, width, output, from, to)
  else unpackWide(cursor.bytes, cursor.offset, width, output, from, to)
  // Some writers leave out the padding of the last group.
  cursor.offset = Math.min(cursor.offset + groups * width, cursor.end)
  return to
}

/** Fills `output` with numbers of `width` bits (0 to 32). */
export const readHybrid = (cursor: Cursor, width: number, output: Output): void => {
  let filled = 0
  while (filled < output.length) {
    const head = readVarint(cursor)
    if (head % 2 === 1) filled = readPacked(cursor, (head - 1) / 2, width, output, filled)
    else {
      const to = Math.min(filled + head / 2, output.length)
      readRun(cursor, width, output, filled, to)
      filled = to
    }
  }
}

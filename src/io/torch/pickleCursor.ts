/**
 * Reads the operands of pickle opcodes; nothing is read or allocated beyond the end of the pickle.
 *
 * @since 0.1.0
 */

/** A place in a pickle that moves on with every read. */
export interface PickleCursor {
  position: number
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Makes the error for an operand that lies beyond the end. */
  readonly cut: () => Error
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Begins at the first byte. */
export const cursorOf = (bytes: Uint8Array, cut: (position: number) => Error): PickleCursor => {
  const cursor: PickleCursor = {
    position: 0,
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    cut: () => cut(cursor.position)
  }
  return cursor
}

/** Moves over `length` bytes and returns where they begin. */
export const advance = (cursor: PickleCursor, length: number): number => {
  const begin = cursor.position
  if (!(length <= cursor.bytes.length - begin)) throw cursor.cut()
  cursor.position = begin + length
  return begin
}

/** Unsigned 8, 16 or 32 bits, little-endian. */
export const unsigned = (cursor: PickleCursor, width: 1 | 2 | 4): number => {
  const at = advance(cursor, width)
  return width === 1 ? cursor.bytes[at]! : width === 2 ? cursor.view.getUint16(at, true) : cursor.view.getUint32(at, true)
}

/** Unsigned 64 bits as a length; one that is no safe integer is beyond every end. */
export const longLength = (cursor: PickleCursor): number => Number(cursor.view.getBigUint64(advance(cursor, 8), true))

/** Text of `length` bytes of UTF-8. */
export const text = (cursor: PickleCursor, length: number): string => {
  const begin = advance(cursor, length)
  return utf8.decode(cursor.bytes.subarray(begin, begin + length))
}

/** Text up to the next line feed. */
export const line = (cursor: PickleCursor): string => {
  const end = cursor.bytes.indexOf(0x0a, cursor.position)
  if (end < 0) throw cursor.cut()
  const found = text(cursor, end - cursor.position)
  advance(cursor, 1)
  return found
}

/** Two's complement of `length` bytes, at most 8; a bigint where 53 bits do not hold it. */
export const integer = (cursor: PickleCursor, length: number): number | bigint => {
  const begin = advance(cursor, length)
  let value = 0n
  for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(cursor.bytes[begin + i]!)
  const signed = BigInt.asIntN(8 * length, value)
  return signed === BigInt(Number(signed)) && Number.isSafeInteger(Number(signed)) ? Number(signed) : signed
}

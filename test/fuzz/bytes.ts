/** Changes to bytes, whatever they mean. */
import { type Draw, pick } from "./Reader.ts"

type Change = (bytes: Uint8Array, draw: Draw, other: Uint8Array) => Uint8Array

const cut = (bytes: Uint8Array, begin: number, end: number): Uint8Array => Buffer.concat([bytes.subarray(0, begin), bytes.subarray(end)])
const insert = (bytes: Uint8Array, at: number, added: Uint8Array): Uint8Array => Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at)])

/** Numbers at which sizes, signs and types break. */
const extremes = [0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0xffffn, 0x7fffffffn, 0x80000000n, 0xfffffff0n, 0xffffffffn, 0x1fffffffffffffn, 0x7fffffffffffffffn, 0xffffffffffffffffn]

/** A little- or big-endian number of 1, 2, 4 or 8 bytes: an extreme, or a little more or less than stands there. */
const setNumber: Change = (bytes, draw) => {
  const width = pick(draw, [1, 2, 4, 8])
  if (bytes.length < width) return bytes
  const copy = Buffer.from(bytes)
  const at = draw(bytes.length - width + 1)
  const little = draw(3) > 0
  const wide = Buffer.alloc(8)
  if (draw(3) === 0) {
    copy.copy(wide, 0, at, at + width)
    const value = little ? wide.readBigUInt64LE() : Buffer.from(wide.subarray(0, width)).reverse().reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    wide.writeBigUInt64LE(BigInt.asUintN(64, value + BigInt(draw(17) - 8)))
  } else {
    wide.writeBigUInt64LE(pick(draw, extremes))
  }
  const field = Buffer.from(wide.subarray(0, width))
  copy.set(little ? field : field.reverse(), at)
  return copy
}

/** A variable-length number of Thrift or Protocol Buffers, longer than any that belongs there. */
const setVariable: Change = (bytes, draw) => {
  const at = draw(bytes.length + 1)
  const long = Buffer.alloc(1 + draw(10), 0xff)
  long[long.length - 1] = draw(128)
  return draw(2) === 0 ? insert(bytes, at, long) : Buffer.concat([bytes.subarray(0, at), long, bytes.subarray(at + long.length)])
}

const changes: ReadonlyArray<Change> = [
  (bytes, draw) => { bytes[draw(bytes.length)]! ^= 1 << draw(8); return bytes },
  (bytes, draw) => { for (let i = draw(8); i >= 0; i--) bytes[draw(bytes.length)] = draw(256); return bytes },
  (bytes, draw) => { const at = draw(bytes.length); return bytes.fill(pick(draw, [0, 0x7f, 0x80, 0xff]), at, at + 1 + draw(64)) },
  (bytes, draw) => bytes.subarray(0, draw(bytes.length)),
  (bytes, draw) => { const at = draw(bytes.length); return cut(bytes, at, at + 1 + draw(64)) },
  (bytes, draw) => { const at = draw(bytes.length); return insert(bytes, at, bytes.subarray(at, at + 1 + draw(256))) },
  (bytes, draw) => insert(bytes, draw(bytes.length), Uint8Array.from({ length: 1 + draw(16) }, () => draw(256))),
  (bytes, draw, other) => Buffer.concat([bytes.subarray(0, draw(bytes.length)), other.subarray(draw(other.length))]),
  (bytes, draw, other) => { const at = draw(other.length); return insert(bytes, draw(bytes.length), other.subarray(at, at + 1 + draw(256))) },
  // Headers and footers are where sizes, offsets and counts are.
  (bytes, draw) => { bytes[Math.max(0, bytes.length - 1 - draw(Math.min(bytes.length, 900)))] = draw(256); return bytes },
  (bytes, draw) => { bytes[draw(Math.min(bytes.length, 64))] = draw(256); return bytes },
  setNumber, setNumber, setNumber, setVariable
]

/** `bytes` with one change, sometimes several; `other` is another file to take pieces from. */
export const mutate = (original: Uint8Array, draw: Draw, other: Uint8Array = original): Uint8Array => {
  let bytes: Uint8Array = Uint8Array.from(original)
  for (let i = pick(draw, [1, 1, 1, 2, 4]); i > 0 && bytes.length > 0; i--) bytes = Uint8Array.from(pick(draw, changes)(bytes, draw, other))
  return bytes
}

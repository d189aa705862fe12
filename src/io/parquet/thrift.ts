/**
 * Looks over a struct of Thrift's compact protocol before it is parsed, so that no length or count in it can make the
 * parser allocate more than the file holds, loop, or recurse without end.
 *
 * @source https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
 * @since 0.1.0
 */
import { Damage, require } from "./Damage.ts"

const deepest = 32

const [boolTrue, boolFalse, byte, i16, i32, i64, double, binary, list, struct] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12]

/** The bytes ended inside the struct: damage, unless more of them can be fetched. */
export class EndOfBytes extends Damage {
  constructor() {
    super("a header or the footer ends too early")
  }
}

class Walk {
  readonly bytes: Uint8Array
  offset: number
  constructor(bytes: Uint8Array, offset: number) {
    this.bytes = bytes
    this.offset = offset
  }

  next(): number {
    const value = this.bytes[this.offset++]
    if (value === undefined) throw new EndOfBytes()
    return value
  }

  skip(count: number): void {
    if (this.offset + count > this.bytes.length) throw new EndOfBytes()
    this.offset += count
  }

  /** A number of at most 64 bits; as a double, exact where it matters: small ones. */
  varint(): number {
    let value = 0
    for (let i = 0; i < 10; i++) {
      const part = this.next()
      value += (part & 0x7f) * 2 ** (7 * i)
      if (part < 0x80) return value
    }
    throw new Damage("a header or the footer holds a number of more than 64 bits")
  }

  struct(depth: number): void {
    require(depth < deepest, "a header or the footer is nested too deeply")
    for (let head = this.next(); (head & 0x0f) !== 0; head = this.next()) {
      if (head >> 4 === 0) this.varint()
      this.element(head & 0x0f, depth)
    }
  }

  element(type: number, depth: number): void {
    if (type === boolTrue || type === boolFalse) return
    if (type === byte) return this.skip(1)
    if (type === i16 || type === i32 || type === i64) return void this.varint()
    if (type === double) return this.skip(8)
    if (type === binary) return this.skip(this.varint())
    if (type === list) return this.list(depth)
    if (type === struct) return this.struct(depth + 1)
    throw new Damage(`a header or the footer holds the unknown field type ${type}`)
  }

  list(depth: number): void {
    require(depth < deepest, "a header or the footer is nested too deeply")
    const head = this.next()
    const size = head >> 4 === 15 ? this.varint() : head >> 4
    // Every element takes a byte at least.
    if (size > this.bytes.length - this.offset) throw new EndOfBytes()
    const type = head & 0x0f
    for (let i = 0; i < size; i++) this.element(type === boolTrue || type === boolFalse ? byte : type, depth + 1)
  }
}

/** The offset just behind the struct that begins at `offset`; throws {@link EndOfBytes} or {@link Damage}. */
export const endOfStruct = (bytes: Uint8Array, offset: number): number => {
  const walk = new Walk(bytes, offset)
  walk.struct(0)
  return walk.offset
}

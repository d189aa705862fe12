/**
 * Thrift's compact protocol with its types kept: what is read and written again is the same, also where nobody here knows
 * what it means.
 *
 * @since 0.1.0
 */

/** A value by its type on the wire. */
export type Thrift =
  | { readonly type: "boolean"; readonly value: boolean }
  | { readonly type: "byte"; readonly value: number }
  | { readonly type: "i16" | "i32" | "i64"; readonly value: bigint }
  | { readonly type: "double" | "binary"; readonly value: Uint8Array }
  | { readonly type: "list" | "set"; readonly of: number; readonly value: ReadonlyArray<Thrift> }
  | Struct

/** Fields by their number, in ascending order. */
export interface Struct {
  readonly type: "struct"
  readonly value: ReadonlyMap<number, Thrift>
}

const codes = { true: 1, false: 2, byte: 3, i16: 4, i32: 5, i64: 6, double: 7, binary: 8, list: 9, set: 10, struct: 12 } as const

const integers = { [codes.i16]: "i16", [codes.i32]: "i32", [codes.i64]: "i64" } as const

const deepest = 64

/** Reads one struct from the beginning of `bytes`. Throws a `RangeError` where they are none. */
export const readStruct = (bytes: Uint8Array): Struct => {
  let at = 0
  const byte = (): number => {
    if (at >= bytes.length) throw new RangeError("the metadata ends in the middle of a value")
    return bytes[at++]!
  }
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const next = byte()
      value |= BigInt(next & 0x7f) << shift
      if (next < 0x80) return BigInt.asUintN(64, value)
    }
    throw new RangeError("a number has more than 64 bits")
  }
  const zigzag = (): bigint => {
    const value = varint()
    return (value >> 1n) ^ -(value & 1n)
  }
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw new RangeError("a value is longer than the metadata")
    return bytes.subarray(at, at += length)
  }
  const list = (type: "list" | "set", depth: number): Thrift => {
    const head = byte()
    const of = head & 0x0f
    const size = head >> 4 === 15 ? Number(varint()) : head >> 4
    if (size > bytes.length - at) throw new RangeError("a list is longer than the metadata")
    return { type, of, value: Array.from({ length: size }, () => element(of, depth)) }
  }
  const element = (code: number, depth: number): Thrift => {
    switch (code) {
      case codes.true:
      case codes.false:
        return { type: "boolean", value: byte() === codes.true }
      case codes.byte:
        return { type: "byte", value: byte() }
      case codes.i16:
      case codes.i32:
      case codes.i64:
        return { type: integers[code], value: zigzag() }
      case codes.double:
        return { type: "double", value: take(8) }
      case codes.binary:
        return { type: "binary", value: take(Number(varint())) }
      case codes.list:
      case codes.set:
        return list(code === codes.list ? "list" : "set", depth + 1)
      case codes.struct:
        return struct(depth + 1)
      default:
        throw new RangeError(`there is no type ${code}`)
    }
  }
  const field = (code: number, depth: number): Thrift =>
    code === codes.true || code === codes.false ? { type: "boolean", value: code === codes.true } : element(code, depth)
  const struct = (depth: number): Struct => {
    if (depth > deepest) throw new RangeError("the metadata is nested too deeply")
    const fields = new Map<number, Thrift>()
    for (let id = 0;;) {
      const head = byte()
      if (head === 0) return { type: "struct", value: fields }
      id = head >> 4 === 0 ? Number(zigzag()) : id + (head >> 4)
      fields.set(id, field(head & 0x0f, depth))
    }
  }
  return struct(0)
}

const codeOf = (value: Thrift): number => value.type === "boolean" ? (value.value ? codes.true : codes.false) : codes[value.type]

const pushVarint = (out: Array<number>, value: bigint): void => {
  let rest = value
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80)
  out.push(Number(rest))
}

const pushZigzag = (out: Array<number>, value: bigint): void =>
  pushVarint(out, BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)))

const pushBytes = (out: Array<number>, bytes: Uint8Array): void => {
  for (const byte of bytes) out.push(byte)
}

const pushFields = (out: Array<number>, fields: ReadonlyMap<number, Thrift>): void => {
  let last = 0
  for (const [id, value] of [...fields].sort(([a], [b]) => a - b)) {
    const step = id - last
    if (step > 0 && step < 16) out.push((step << 4) | codeOf(value))
    else {
      out.push(codeOf(value))
      pushZigzag(out, BigInt(id))
    }
    if (value.type !== "boolean") pushValue(out, value)
    last = id
  }
  out.push(0)
}

const pushValue = (out: Array<number>, value: Thrift): void => {
  switch (value.type) {
    case "boolean":
      return void out.push(codeOf(value))
    case "byte":
      return void out.push(value.value & 0xff)
    case "i16":
    case "i32":
    case "i64":
      return pushZigzag(out, value.value)
    case "double":
      return pushBytes(out, value.value)
    case "binary":
      pushVarint(out, BigInt(value.value.length))
      return pushBytes(out, value.value)
    case "list":
    case "set":
      if (value.value.length < 15) out.push((value.value.length << 4) | value.of)
      else {
        out.push(0xf0 | value.of)
        pushVarint(out, BigInt(value.value.length))
      }
      return value.value.forEach((item) => pushValue(out, item))
    case "struct":
      return pushFields(out, value.value)
  }
}

/** The bytes of a struct. */
export const writeStruct = (struct: Struct): Uint8Array => {
  const out: Array<number> = []
  pushFields(out, struct.value)
  return Uint8Array.from(out)
}

/** A struct with some fields changed; undefined removes one. */
export const withFields = (struct: Struct, changes: Readonly<Record<number, Thrift | undefined>>): Struct => {
  const fields = new Map(struct.value)
  for (const [id, value] of Object.entries(changes)) {
    if (value === undefined) fields.delete(Number(id))
    else fields.set(Number(id), value)
  }
  return { type: "struct", value: fields }
}

/** The structs of a list field; none where it is absent. */
export const structsOf = (struct: Struct, id: number): ReadonlyArray<Struct> => {
  const field = struct.value.get(id)
  return field?.type === "list" ? field.value.filter((item) => item.type === "struct") : []
}

/** A list of structs. */
export const structList = (value: ReadonlyArray<Struct>): Thrift => ({ type: "list", of: codes.struct, value })

/** An integer field; 0 where it is absent. */
export const integerOf = (struct: Struct, id: number): bigint => {
  const field = struct.value.get(id)
  return field !== undefined && typeof field.value === "bigint" ? field.value : 0n
}

/** A text field; empty where it is absent. */
export const textOf = (struct: Struct, id: number): string => {
  const field = struct.value.get(id)
  return field?.type === "binary" ? Buffer.from(field.value).toString("utf8") : ""
}

/** A 64-bit integer. */
export const i64 = (value: bigint): Thrift => ({ type: "i64", value })

/** A 32-bit integer. */
export const i32 = (value: number): Thrift => ({ type: "i32", value: BigInt(value) })

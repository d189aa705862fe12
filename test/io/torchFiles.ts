/** Builds zip archives and pickles by hand, honest and hostile ones, and a disk that holds one file in memory. */
import { crc32, deflateRawSync } from "node:zlib"
import type { DiskOperations } from "../../src/io/index.ts"
import { nodeDisk } from "../../src/io/Disk.ts"
import { memoryFile } from "../support/memoryFile.ts"

export interface Entry {
  readonly name: string
  readonly data: Buffer
  readonly deflate?: boolean
  /** What the directory claims instead of the truth. */
  readonly claim?: { readonly size?: number; readonly packed?: number; readonly crc?: number; readonly header?: number; readonly flags?: number; readonly method?: number; readonly mode?: number }
  /** What the local header calls the record. */
  readonly localName?: string
  /** What the local header says of its size. */
  readonly localSize?: number
}

const u16 = (value: number) => { const b = Buffer.alloc(2); b.writeUInt16LE(value); return b }
const u32 = (value: number) => { const b = Buffer.alloc(4); b.writeUInt32LE(value); return b }
const u64 = (value: number | bigint) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(value)); return b }

/** What is written about one record: the truth, or what the entry claims instead. */
const described = ({ claim = {}, data, deflate = false, localName, localSize, name }: Entry, at: number) => {
  const packed = deflate ? deflateRawSync(data) : data
  const truth = { size: data.length, packed: packed.length, header: at, crc: crc32(data), flags: 0, method: deflate ? 8 : 0, mode: 0o100644 }
  return { name, localName: localName ?? name, localSize, packed, truth, told: { ...truth, ...claim } }
}

type Described = ReturnType<typeof described>

const localHeader = ({ localName, localSize, told: { crc, flags, method, packed, size } }: Described): Buffer =>
  Buffer.concat([
    u32(0x04034b50), u16(20), u16(flags), u16(method), u32(0), u32(crc), u32(Math.min(packed, 0xffffffff)), u32(localSize ?? Math.min(size, 0xffffffff)),
    u16(Buffer.byteLength(localName)), u16(0), Buffer.from(localName)
  ])

const directoryEntry = ({ name, told: { crc, flags, header, method, mode, packed, size } }: Described, zip64: boolean): Buffer => {
  const extra = zip64 ? Buffer.concat([u16(1), u16(24), u64(size), u64(packed), u64(header)]) : Buffer.alloc(0)
  const short = (value: number) => u32(zip64 ? 0xffffffff : value)
  return Buffer.concat([
    u32(0x02014b50), u16(0x0314), u16(20), u16(flags), u16(method), u32(0), u32(crc), short(packed), short(size),
    u16(Buffer.byteLength(name)), u16(extra.length), u16(0), u16(0), u16(0), u32(mode * 0x10000), short(header), Buffer.from(name), extra
  ])
}

const wideEnd = (count: number, bytes: number, begin: number): ReadonlyArray<Buffer> => [
  u32(0x06064b50), u64(44), u16(45), u16(45), u32(0), u32(0), u64(count), u64(count), u64(bytes), u64(begin),
  u32(0x07064b50), u32(0), u64(begin + bytes), u32(1),
  u32(0x06054b50), u16(0), u16(0), u16(0xffff), u16(0xffff), u32(0xffffffff), u32(0xffffffff), u16(0)
]

const shortEnd = (count: number, bytes: number, begin: number): ReadonlyArray<Buffer> =>
  [u32(0x06054b50), u16(0), u16(0), u16(count), u16(count), u32(bytes), u32(begin), u16(0)]

/** A zip archive; with `zip64` all sizes and offsets stand in the 64-bit fields. */
export const zip = (entries: ReadonlyArray<Entry>, { zip64 = false } = {}): Buffer => {
  const parts: Array<Buffer> = []
  const directory: Array<Buffer> = []
  let at = 0
  for (const entry of entries) {
    const record = described(entry, at)
    const local = localHeader(record)
    directory.push(directoryEntry(record, zip64))
    parts.push(local, record.packed)
    at += local.length + record.packed.length
  }
  const bytes = directory.reduce((sum, { length }) => sum + length, 0)
  return Buffer.concat([...parts, ...directory, ...(zip64 ? wideEnd : shortEnd)(entries.length, bytes, at)])
}

/** The opcodes, each as its bytes. */
export const op = {
  proto: (version = 2) => Buffer.of(0x80, version),
  stop: Buffer.from("."),
  mark: Buffer.from("("),
  none: Buffer.from("N"),
  yes: Buffer.of(0x88),
  no: Buffer.of(0x89),
  dict: Buffer.from("}"),
  list: Buffer.from("]"),
  unit: Buffer.from(")"),
  tuple: Buffer.from("t"),
  tuple1: Buffer.of(0x85),
  reduce: Buffer.from("R"),
  build: Buffer.from("b"),
  setItems: Buffer.from("u"),
  setItem: Buffer.from("s"),
  appends: Buffer.from("e"),
  append: Buffer.from("a"),
  persistent: Buffer.from("Q"),
  newObject: Buffer.of(0x81),
  stackGlobal: Buffer.of(0x93),
  memoize: Buffer.of(0x94),
  put: (index: number) => Buffer.of(0x71, index),
  get: (index: number) => Buffer.of(0x68, index),
  text: (text: string) => Buffer.concat([Buffer.from("X"), u32(Buffer.byteLength(text)), Buffer.from(text)]),
  shortText: (text: string) => Buffer.concat([Buffer.of(0x8c, Buffer.byteLength(text)), Buffer.from(text)]),
  int: (value: number) => { const b = Buffer.alloc(5, "J"); b.writeInt32LE(value, 1); return b },
  float: (value: number) => { const b = Buffer.alloc(9, "G"); b.writeDoubleBE(value, 1); return b },
  long: (...bytes: ReadonlyArray<number>) => Buffer.of(0x8a, bytes.length, ...bytes),
  frame: (length: number | bigint) => Buffer.concat([Buffer.of(0x95), u64(length)]),
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`)
}

/** A whole pickle of one value. */
export const pickle = (value: Buffer | ReadonlyArray<Buffer>, version = 2): Buffer =>
  Buffer.concat([op.proto(version), ...(Buffer.isBuffer(value) ? [value] : value), op.stop])

export const tupleOf = (...items: ReadonlyArray<Buffer>): Buffer => Buffer.concat([op.mark, ...items, op.tuple])

/** A dict of values by name. */
export const dictOf = (entries: Readonly<Record<string, Buffer>>): Buffer =>
  Buffer.concat([op.dict, op.mark, ...Object.entries(entries).flatMap(([key, value]) => [op.text(key), value]), op.setItems])

export const call = (module: string, name: string, ...args: ReadonlyArray<Buffer>): Buffer => Buffer.concat([op.global(module, name), tupleOf(...args), op.reduce])

export interface TensorPlan {
  readonly key: string
  readonly type?: string
  /** Elements of the storage. */
  readonly elements: number
  readonly offset?: number
  readonly shape: ReadonlyArray<number>
  readonly strides: ReadonlyArray<number>
}

/** `torch._utils._rebuild_tensor_v2` as `torch.save` writes it. */
export const tensor = ({ elements, key, offset = 0, shape, strides, type = "FloatStorage" }: TensorPlan): Buffer =>
  call(
    "torch._utils", "_rebuild_tensor_v2",
    Buffer.concat([tupleOf(op.text("storage"), op.global("torch", type), op.text(key), op.text("cpu"), op.int(elements)), op.persistent]),
    op.int(offset), tupleOf(...shape.map(op.int)), tupleOf(...strides.map(op.int)), op.no, call("collections", "OrderedDict")
  )

/** A file of `torch.save`. */
export const archive = (data: Buffer, storages: Readonly<Record<string, Buffer>> = {}, more: ReadonlyArray<Entry> = [], options = {}): Buffer =>
  zip([
    { name: "checkpoint/data.pkl", data },
    { name: "checkpoint/byteorder", data: Buffer.from("little") },
    ...Object.entries(storages).map(([key, bytes]) => ({ name: `checkpoint/data/${key}`, data: bytes })),
    ...more
  ], options)

export const floats = (...values: ReadonlyArray<number>): Buffer => Buffer.from(Float32Array.from(values).buffer)

/** A disk on which every file has these bytes. */
export const diskOf = (bytes: Uint8Array): DiskOperations => ({
  ...nodeDisk,
  kind: () => Promise.resolve("file"),
  openToRead: () => Promise.resolve(memoryFile(bytes))
})

/** A copy with one to three bytes changed, removed or put in; positions below `within`, counted from the end if negative. */
export const mutated = (bytes: Uint8Array, random: (bound: number) => number, within = bytes.length): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  const at = () => within < 0 ? bytes.length - 1 - random(-within) : random(within)
  const kind = random(10)
  if (kind === 0) return copy.subarray(0, at())
  if (kind === 1) { const begin = at(); return Buffer.concat([copy.subarray(0, begin), copy.subarray(begin + 1 + random(8))]) }
  if (kind === 2) { const begin = at(); return Buffer.concat([copy.subarray(0, begin), Buffer.of(random(256)), copy.subarray(begin)]) }
  for (let i = 0; i <= random(3); i++) copy[at()] = kind < 6 ? random(256) : [0x00, 0xff, 0x7f, 0x80][random(4)]!
  return copy
}

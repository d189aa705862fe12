/**
 * The directory of a zip archive: parsed and checked before any record is read.
 *
 * Only what `torch.save` writes is accepted: one disk, no encryption, stored records (small ones may be deflated), plain
 * relative names, each once. Sizes and offsets of more than 32 bits come from the zip64 fields.
 *
 * @source PKWARE APPNOTE 6.3.10, sections 4.3.12 (central directory), 4.3.14–16 (end records), 4.5.3 (zip64 field)
 * @since 0.1.0
 */
import type { Fail } from "./TorchFileError.ts"

/** One record as the directory describes it. */
export interface ZipRecord {
  readonly name: string
  readonly deflated: boolean
  readonly crc: number
  /** Bytes in the archive. */
  readonly packed: number
  /** Bytes when unpacked. */
  readonly size: number
  /** Where its local header begins. */
  readonly header: number
}

/** Where the directory lies. */
export interface DirectoryPlace {
  readonly begin: number
  readonly bytes: number
  readonly count: number
}

const endSignature = 0x06054b50
const zip64EndSignature = 0x06064b50
const locatorSignature = 0x07064b50
const recordSignature = 0x02014b50

/** Bytes behind which an end record cannot begin. */
export const longestEnd = 22 + 0xffff + 20 + 56

/** Most records that are accepted; a network of 32 blocks has under two thousand. */
const mostRecords = 100_000

/** Largest record that may be deflated: tensors never are, so that nothing unpacks to more than the file holds. */
const largestDeflated = 16 * 1024 * 1024

/** What a record may unpack to, for each byte it takes in the archive: pickles shrink to a tenth. */
const largestRatio = 64

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const safe = (value: bigint, fail: Fail): number => {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw fail("badArchive", `a size of ${value} bytes is claimed`)
  return Number(value)
}

const zip64Place = (tail: DataView, tailBegin: number, at: number, fail: Fail): DirectoryPlace => {
  const locator = at - 20
  if (locator < 0 || tail.getUint32(locator, true) !== locatorSignature) throw fail("badArchive", "its zip64 locator is missing")
  const record = safe(tail.getBigUint64(locator + 8, true), fail) - tailBegin
  if (record < 0 || record + 56 > locator || tail.getUint32(record, true) !== zip64EndSignature) {
    throw fail("badArchive", "its zip64 end record is missing")
  }
  return {
    count: safe(tail.getBigUint64(record + 32, true), fail),
    bytes: safe(tail.getBigUint64(record + 40, true), fail),
    begin: safe(tail.getBigUint64(record + 48, true), fail)
  }
}

/** All places where an end record could stand: one that fits up to the end of the file. */
const endRecords = (tail: DataView): ReadonlyArray<number> => {
  const found: Array<number> = []
  for (let at = tail.byteLength - 22; at >= Math.max(0, tail.byteLength - 22 - 0xffff); at--) {
    if (tail.getUint32(at, true) === endSignature && at + 22 + tail.getUint16(at + 20, true) === tail.byteLength) found.push(at)
  }
  return found
}

/** Finds the directory from the last bytes of a file, which begin at byte `tailBegin` of it. */
export const findDirectory = (bytes: Uint8Array, tailBegin: number, fail: Fail): DirectoryPlace => {
  const tail = view(bytes)
  const [at, another] = endRecords(tail)
  if (at === undefined) throw fail("badArchive", "the zip archive has no end record; it was probably cut short")
  if (another !== undefined) throw fail("refused", "the archive has two ends, so that two programs may read two different files")
  if (tail.getUint16(at + 4, true) !== 0 || tail.getUint16(at + 6, true) !== 0) throw fail("badArchive", "it is one part of several")
  const small = { count: tail.getUint16(at + 10, true), bytes: tail.getUint32(at + 12, true), begin: tail.getUint32(at + 16, true) }
  const wide = small.count === 0xffff || small.bytes === 0xffffffff || small.begin === 0xffffffff
  const place = wide ? zip64Place(tail, tailBegin, at, fail) : small
  if (place.begin + place.bytes > tailBegin + at) throw fail("badArchive", "its directory lies outside the file")
  if (place.count > mostRecords) throw fail("limit", `it claims ${place.count} records; at most ${mostRecords} are accepted`)
  return place
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const nameOf = (bytes: Uint8Array, fail: Fail): string => {
  let name: string
  try {
    name = utf8.decode(bytes)
  } catch {
    throw fail("badArchive", "the name of a record is no text")
  }
  const parts = name.split("/")
  const plain = name.length > 0 && !/[\\:\0]/.test(name) && parts.every((part, i) => part !== ".." && part !== "." && (part !== "" || i === parts.length - 1 && i > 0))
  if (!plain) throw fail("refused", `it has a record named ${JSON.stringify(name.slice(0, 200))}, which leads out of the archive`)
  return name
}

/** The zip64 field of `extra`: the 64-bit values in place of those that are all ones. */
const widened = (extra: DataView, values: ReadonlyArray<number>, fail: Fail): ReadonlyArray<number> => {
  if (!values.includes(0xffffffff)) return values
  for (let at = 0; at + 4 <= extra.byteLength;) {
    const length = extra.getUint16(at + 2, true)
    if (at + 4 + length > extra.byteLength) break
    if (extra.getUint16(at, true) === 1) {
      let next = at + 4
      return values.map((value) => {
        if (value !== 0xffffffff) return value
        if (next + 8 > at + 4 + length) throw fail("badArchive", "a zip64 field is cut short")
        next += 8
        return safe(extra.getBigUint64(next - 8, true), fail)
      })
    }
    at += 4 + length
  }
  throw fail("badArchive", "a zip64 field is missing")
}

/** Whether an entry is a symbolic link, as Unix writes it: made by system 3, mode `120000`. */
const isLink = (madeBy: number, attributes: number): boolean => madeBy >> 8 === 3 && attributes >>> 28 === 0xa

const checkRecord = (record: ZipRecord, method: number, flags: number, fail: Fail): ZipRecord => {
  const at = { record: record.name }
  if ((flags & 0x2041) !== 0) throw fail("unsupported", "the record is encrypted", at)
  if (method !== 0 && method !== 8) throw fail("unsupported", `the record is packed by method ${method}`, at)
  if (method === 0 && record.packed !== record.size) throw fail("badArchive", `the record claims ${record.size} bytes and holds ${record.packed}`, at)
  if (method === 8 && record.size > largestDeflated) {
    throw fail("limit", `the record unpacks to ${record.size} bytes; PyTorch stores tensors as they are, and at most ${largestDeflated} may be packed`, at)
  }
  if (method === 8 && record.size > 1024 + largestRatio * record.packed) {
    throw fail("limit", `the record unpacks from ${record.packed} to ${record.size} bytes`, at)
  }
  return record
}

/** Parses the directory; `bytes` are exactly its own. */
export const parseDirectory = (bytes: Uint8Array, count: number, fail: Fail): ReadonlyMap<string, ZipRecord> => {
  const records = new Map<string, ZipRecord>()
  const data = view(bytes)
  let at = 0
  for (let index = 0; index < count; index++) {
    if (at + 46 > bytes.length || data.getUint32(at, true) !== recordSignature) throw fail("badArchive", `entry ${index} of its directory is damaged`)
    const [nameLength, extraLength, commentLength] = [data.getUint16(at + 28, true), data.getUint16(at + 30, true), data.getUint16(at + 32, true)]
    const end = at + 46 + nameLength + extraLength + commentLength
    if (end > bytes.length) throw fail("badArchive", `entry ${index} of its directory is damaged`)
    const name = nameOf(bytes.subarray(at + 46, at + 46 + nameLength), fail)
    if (records.has(name)) throw fail("refused", "the archive holds the record twice, so that two programs may read two different files", { record: name })
    const extra = view(bytes.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength))
    const [size, packed, header] = widened(extra, [data.getUint32(at + 24, true), data.getUint32(at + 20, true), data.getUint32(at + 42, true)], fail)
    const method = data.getUint16(at + 10, true)
    if (isLink(data.getUint16(at + 4, true), data.getUint32(at + 38, true))) throw fail("refused", "the record is a link to another file", { record: name })
    const record = { name, deflated: method === 8, crc: data.getUint32(at + 16, true), packed: packed!, size: size!, header: header! }
    records.set(name, checkRecord(record, method, data.getUint16(at + 8, true), fail))
    at = end
  }
  if (at !== bytes.length) throw fail("badArchive", `its directory has ${bytes.length - at} bytes more than its entries`)
  return records
}

/**
 * Random access to the records of a zip archive on an open file.
 *
 * Every record is located by its own header when the archive is opened; records may not overlap each other or the
 * directory, so all of them together are never larger than the file. What is read is checked against its CRC-32.
 *
 * @source PKWARE APPNOTE 6.3.10, section 4.3.7 (local header)
 * @since 0.1.0
 */
import { Effect } from "effect"
import { crc32, inflateRawSync } from "node:zlib"
import type { DiskFile } from "../Disk.ts"
import { readRange } from "../readRange.ts"
import { type Fail, fromDiskError, TorchFileError } from "./TorchFileError.ts"
import { findDirectory, longestEnd, parseDirectory, type ZipRecord } from "./zipDirectory.ts"

/** A record whose place in the file is known: `begin ≤ byte < begin + packed`. */
export interface LocatedRecord extends ZipRecord {
  readonly begin: number
}

/** An open archive. */
export interface ZipFile {
  readonly records: ReadonlyMap<string, LocatedRecord>
  /** All bytes of a record, unpacked and checked. */
  readonly read: (record: LocatedRecord) => Effect.Effect<Uint8Array<ArrayBuffer>, TorchFileError>
}

const localSignature = 0x04034b50
const localBytes = 30

/** Runs a parser that throws {@link TorchFileError}. */
export const attemptSync = <A>(fail: Fail, run: () => A): Effect.Effect<A, TorchFileError> =>
  Effect.try({
    try: run,
    catch: (cause) => cause instanceof TorchFileError ? cause : fail("badArchive", String(cause))
  })

const locate = (record: ZipRecord, header: Uint8Array, fail: Fail): LocatedRecord => {
  const data = new DataView(header.buffer, header.byteOffset, header.byteLength)
  const at = { record: record.name }
  if (data.getUint32(0, true) !== localSignature) throw fail("badArchive", "the record has no header of its own", at)
  const nameLength = data.getUint16(26, true)
  const name = Buffer.from(header.subarray(localBytes, localBytes + nameLength)).toString("utf8")
  const method = data.getUint16(8, true)
  if (nameLength !== header.length - localBytes || name !== record.name || method !== (record.deflated ? 8 : 0)) {
    throw fail("refused", "the record's own header says something else than the directory, so that two programs may read two different files", at)
  }
  // Sizes that follow the data, or stand in a zip64 field, are 0 or all ones here.
  const sizes = [[data.getUint32(18, true), record.packed], [data.getUint32(22, true), record.size]] as const
  if (sizes.some(([local, listed]) => local !== 0 && local !== 0xffffffff && local !== listed)) {
    throw fail("refused", "the record's own header gives another size than the directory, so that two programs may read two different files", at)
  }
  return { ...record, begin: record.header + localBytes + nameLength + data.getUint16(28, true) }
}

const checkApart = (records: ReadonlyArray<LocatedRecord>, directory: number, fail: Fail): void => {
  const sorted = [...records].sort((a, b) => a.header - b.header)
  sorted.forEach((record, i) => {
    const next = sorted[i + 1]
    const limit = next?.header ?? directory
    if (record.begin + record.packed <= limit) return
    const other = next === undefined ? "the archive's directory" : `the record "${next.name}"`
    throw fail("refused", `the record overlaps ${other}`, { record: record.name })
  })
}

const unpack = (record: LocatedRecord, bytes: Uint8Array<ArrayBuffer>, fail: Fail): Uint8Array<ArrayBuffer> => {
  const at = { record: record.name }
  let unpacked = bytes
  if (record.deflated) {
    try {
      unpacked = new Uint8Array(inflateRawSync(bytes, { maxOutputLength: Math.max(1, record.size) }))
    } catch (cause) {
      throw fail("badArchive", `the record cannot be unpacked to the ${record.size} bytes it claims (${cause instanceof Error ? cause.message : String(cause)})`, at)
    }
  }
  if (unpacked.length !== record.size) throw fail("badArchive", `the record unpacks to ${unpacked.length} bytes instead of ${record.size}`, at)
  if (crc32(unpacked) !== record.crc) throw fail("badArchive", "the record was changed after it was written (its CRC-32 differs)", at)
  return unpacked
}

/** Reads and checks the directory and the headers of all records; no content is touched. */
export const openZip = (file: DiskFile, path: string, fail: Fail): Effect.Effect<ZipFile, TorchFileError> =>
  Effect.gen(function*() {
    const range = (begin: number, end: number) => Effect.mapError(readRange(file, path, begin, end), fromDiskError(path))
    const tailBegin = Math.max(0, file.size - longestEnd)
    const tail = yield* range(tailBegin, file.size)
    const place = yield* attemptSync(fail, () => findDirectory(tail, tailBegin, fail))
    const directory = yield* range(place.begin, place.begin + place.bytes)
    const listed = yield* attemptSync(fail, () => parseDirectory(directory, place.count, fail))
    const located: Array<LocatedRecord> = []
    for (const record of listed.values()) {
      const end = record.header + localBytes + Buffer.byteLength(record.name)
      if (end > place.begin) return yield* fail("badArchive", "the record lies outside the file", { record: record.name })
      const header = yield* range(record.header, end)
      located.push(yield* attemptSync(fail, () => locate(record, header, fail)))
    }
    yield* attemptSync(fail, () => checkApart(located, place.begin, fail))
    const read = (record: LocatedRecord) =>
      Effect.flatMap(range(record.begin, record.begin + record.packed), (bytes) => attemptSync(fail, () => unpack(record, bytes, fail)))
    return { records: new Map(located.map((record) => [record.name, record])), read }
  })

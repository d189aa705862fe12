/**
 * A zip reader for wheels: finds the entries in the central directory and streams the wanted ones to disk.
 *
 * Nothing larger than one buffer is held in memory, and every extracted file is checked against its recorded size and CRC-32.
 * Archives over 4 GiB (zip64) and encrypted ones are refused: no wheel that is pinned here is either.
 *
 * @since 0.1.0
 * @source PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (end record)
 */
import { createReadStream, createWriteStream } from "node:fs"
import { mkdir, open } from "node:fs/promises"
import { dirname } from "node:path"
import { Readable, Transform } from "node:stream"
import { pipeline } from "node:stream/promises"
import { crc32, createInflateRaw } from "node:zlib"
import { EngineError } from "./EngineError.mjs"

const endSignature = 0x06054b50
const centralSignature = 0x02014b50
const localSignature = 0x04034b50
const longestEndRecord = 22 + 0xffff

/**
 * One file inside an archive.
 *
 * @typedef {object} ZipEntry
 * @property {string} name path inside the archive, with forward slashes
 * @property {0 | 8} method stored or deflated
 * @property {number} crc CRC-32 of the content
 * @property {number} compressedSize bytes in the archive
 * @property {number} size bytes when unpacked
 * @property {number} headerOffset where its local header begins
 */

/** @param {string} path @param {string} why */
const corrupt = (path, why) =>
  new EngineError("CorruptArchive", `${path} is not a readable zip archive: ${why}`, "Remove it and download it again")

/**
 * @param {import("node:fs/promises").FileHandle} file
 * @param {number} position
 * @param {number} length
 * @returns {Promise<Buffer>} at most `length` bytes: fewer at the end of the file
 */
const readAt = async (file, position, length) => {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}

/**
 * @param {string} path
 * @param {import("node:fs/promises").FileHandle} file
 * @returns {Promise<{ offset: number, size: number, count: number }>} where the central directory lies
 */
const findDirectory = async (path, file) => {
  const { size } = await file.stat()
  const start = Math.max(0, size - longestEndRecord)
  const tail = await readAt(file, start, size - start)
  for (let at = tail.length - 22; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== endSignature) continue
    const directory = { count: tail.readUInt16LE(at + 10), size: tail.readUInt32LE(at + 12), offset: tail.readUInt32LE(at + 16) }
    if (directory.offset === 0xffffffff || directory.count === 0xffff) throw corrupt(path, "it is in zip64 format")
    if (directory.offset + directory.size > start + at) throw corrupt(path, "its directory lies outside the file")
    return directory
  }
  throw corrupt(path, "it has no end record, so it was probably cut short")
}

/**
 * The entries of a zip archive, in the order of its central directory; folders are left out.
 *
 * @param {string} path
 * @returns {Promise<ReadonlyArray<ZipEntry>>}
 */
export const readZipEntries = async (path) => {
  const file = await open(path, "r")
  try {
    const directory = await findDirectory(path, file)
    return parseDirectory(path, await readAt(file, directory.offset, directory.size), directory.count)
  } finally {
    await file.close()
  }
}

/**
 * @param {string} path
 * @param {Buffer} bytes
 * @param {number} count
 * @returns {ReadonlyArray<ZipEntry>}
 */
const parseDirectory = (path, bytes, count) => {
  const entries = []
  for (let at = 0, read = 0; read < count; read++) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== centralSignature) {
      throw corrupt(path, `entry ${read} of its directory is damaged`)
    }
    const nameLength = bytes.readUInt16LE(at + 28)
    const name = bytes.toString("utf8", at + 46, at + 46 + nameLength)
    if (!name.endsWith("/")) entries.push(parseEntry(path, bytes, at, name))
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32)
  }
  return entries
}

/**
 * @param {string} path
 * @param {Buffer} bytes
 * @param {number} at
 * @param {string} name
 * @returns {ZipEntry}
 */
const parseEntry = (path, bytes, at, name) => {
  const method = bytes.readUInt16LE(at + 10)
  if (method !== 0 && method !== 8) throw corrupt(path, `${name} uses compression method ${method}`)
  if ((bytes.readUInt16LE(at + 8) & 1) === 1) throw corrupt(path, `${name} is encrypted`)
  return {
    name,
    method,
    crc: bytes.readUInt32LE(at + 16),
    compressedSize: bytes.readUInt32LE(at + 20),
    size: bytes.readUInt32LE(at + 24),
    headerOffset: bytes.readUInt32LE(at + 42)
  }
}

/**
 * Streams one entry to a file, creating its folder, and checks its size and CRC-32.
 *
 * @param {string} path the archive
 * @param {ZipEntry} entry
 * @param {string} target the file to write
 * @returns {Promise<void>}
 */
export const extractZipEntry = async (path, entry, target) => {
  await mkdir(dirname(target), { recursive: true })
  const start = await contentOffset(path, entry)
  const tally = checking(path, entry)
  const source = entry.compressedSize === 0
    ? Readable.from([])
    : createReadStream(path, { start, end: start + entry.compressedSize - 1, highWaterMark: 1 << 20 })
  const sink = createWriteStream(target)
  try {
    if (entry.method === 8) await pipeline(source, createInflateRaw({ chunkSize: 1 << 20 }), tally, sink)
    else await pipeline(source, tally, sink)
  } catch (error) {
    throw error instanceof Error && "code" in error && String(error.code).startsWith("Z_")
      ? corrupt(path, `${entry.name}: ${error.message}`)
      : error
  }
}

/**
 * @param {string} path
 * @param {ZipEntry} entry
 * @returns {Promise<number>} where the entry's bytes begin: the local header repeats the name with lengths of its own
 */
const contentOffset = async (path, entry) => {
  const file = await open(path, "r")
  try {
    const header = await readAt(file, entry.headerOffset, 30)
    if (header.length < 30 || header.readUInt32LE(0) !== localSignature) throw corrupt(path, `${entry.name} has no header`)
    return entry.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
  } finally {
    await file.close()
  }
}

/**
 * @param {string} path
 * @param {ZipEntry} entry
 * @returns {Transform} passes bytes through and fails at the end if they are not the entry's
 */
const checking = (path, entry) => {
  let crc = 0
  let size = 0
  return new Transform({
    transform(chunk, _encoding, done) {
      crc = crc32(chunk, crc)
      size += chunk.length
      done(null, chunk)
    },
    flush(done) {
      done(crc === entry.crc && size === entry.size ? null : corrupt(path, `${entry.name} is damaged`))
    }
  })
}

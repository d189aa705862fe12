/**
 * A reader of gzipped tar archives, as npm packs them: small enough to hold in memory.
 *
 * @since 0.1.0
 * @source POSIX.1-2017 pax, "ustar Interchange Format"
 */
import { gunzipSync } from "node:zlib"
import { EngineError } from "./EngineError.mjs"

const block = 512

/** @param {string} why */
const corrupt = (why) =>
  new EngineError("CorruptArchive", `the package is not a readable tar.gz archive: ${why}`, "Download it again")

/** @param {Buffer} header @param {number} start @param {number} length */
const text = (header, start, length) => {
  const field = header.toString("utf8", start, start + length)
  const end = field.indexOf("\0")
  return end < 0 ? field : field.slice(0, end)
}

/** @param {Buffer} header @param {number} start @param {number} length */
const octal = (header, start, length) => Number.parseInt(text(header, start, length).trim() || "0", 8)

/** @param {Buffer} header */
const checksumHolds = (header) => {
  let sum = 8 * 32
  for (let at = 0; at < block; at++) if (at < 148 || at >= 156) sum += header[at] ?? 0
  return sum === octal(header, 148, 8)
}

/** @param {Buffer} records the body of a pax header: lines of `length key=value` */
const paxPath = (records) => /(?:^|\n)\d+ path=([^\n]*)\n/.exec(records.toString("utf8"))?.[1]

/** @param {Uint8Array} archive */
const gunzip = (archive) => {
  try {
    return gunzipSync(archive)
  } catch (error) {
    throw corrupt(error instanceof Error ? error.message : String(error))
  }
}

/**
 * The regular files of a `.tar.gz`, in order, each with its path inside the archive.
 *
 * @param {Uint8Array} archive
 * @returns {ReadonlyArray<{ readonly name: string, readonly content: Buffer }>}
 */
export const readTarGz = (archive) => {
  const bytes = gunzip(archive)
  const files = []
  /** @type {string | undefined} */
  let longName
  for (let at = 0; at + block <= bytes.length;) {
    const header = bytes.subarray(at, at + block)
    if (header.every((byte) => byte === 0)) return files
    if (!checksumHolds(header)) throw corrupt(`the header at byte ${at} is damaged`)
    const size = octal(header, 124, 12)
    const content = bytes.subarray(at + block, at + block + size)
    if (content.length < size) throw corrupt("it is cut short")
    const type = String.fromCharCode(header[156] ?? 0)
    if (type === "x") longName = paxPath(content) ?? longName
    else if (type === "L") longName = text(content, 0, content.length)
    else {
      if (type === "0" || type === "\0") files.push({ name: longName ?? shortName(header), content })
      longName = undefined
    }
    at += block + Math.ceil(size / block) * block
  }
  throw corrupt("it is cut short")
}

/** @param {Buffer} header */
const shortName = (header) => {
  const prefix = text(header, 257, 5) === "ustar" ? text(header, 345, 155) : ""
  return prefix === "" ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`
}

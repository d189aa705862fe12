/**
 * Checksums of files that are too large to hold in memory.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { pipeline } from "node:stream/promises"

/**
 * The sha256 of a file, in lower-case hex.
 *
 * @param {string} path
 * @returns {Promise<string>}
 */
export const sha256File = async (path) => {
  const hash = createHash("sha256")
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  return hash.digest("hex")
}

/**
 * The subresource integrity string (`sha512-…`, base64) of bytes, as npm writes it in a lock file.
 *
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export const integrityOf = (bytes) => `sha512-${createHash("sha512").update(bytes).digest("base64")}`

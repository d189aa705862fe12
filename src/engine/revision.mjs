/**
 * What an engine folder was made by: a digest, so that one of another version of this package is never mistaken for it.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** Published with the package beside the JavaScript, whether that runs from `src` or from `dist`. */
export const nativeFolder = fileURLToPath(new URL("../../src/engine/native/", import.meta.url))

/** Raised when an engine folder is laid out in another way, or compiled with other flags. */
const layout = 3

/** @type {string | undefined} */
let known

/**
 * Twelve hexadecimal digits that change with the C++ sources and the layout of an engine folder.
 *
 * @returns {string}
 */
export const engineRevision = () => {
  if (known !== undefined) return known
  const hash = createHash("sha256").update(`layout ${layout}\n`)
  for (const name of readdirSync(nativeFolder).sort()) hash.update(`${name}\n`).update(readFileSync(join(nativeFolder, name)))
  known = hash.digest("hex").slice(0, 12)
  return known
}

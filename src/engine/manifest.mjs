/**
 * The list inside an engine folder that says what it is and which files make it whole.
 *
 * @since 0.1.0
 */
import { lstatSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { sha256File } from "./checksum.mjs"
import { engineRevision } from "./revision.mjs"
import { tfjsVersion } from "./versions.mjs"

const fileName = "manifest.json"
const largestHashed = 64 * 1024 * 1024

/**
 * Where a libtensorflow came from.
 *
 * @typedef {object} Origin
 * @property {"folder" | "python" | "wheel"} kind named by the user, installed for Python, or downloaded
 * @property {string} from the folder, or the wheel's file name
 * @property {string} [sha256] of the wheel
 */

/**
 * @typedef {object} Manifest
 * @property {string} revision {@link engineRevision} of the package that made it
 * @property {string} tensorflow version, as the library itself states it
 * @property {"cpu" | "gpu"} device the kind of library, not what the machine has
 * @property {string} platform
 * @property {string} tfjs
 * @property {Origin} origin
 * @property {string} compiler
 * @property {string} installedAt ISO 8601
 * @property {Readonly<Record<string, { readonly bytes: number, readonly sha256?: string }>>} files by path inside the folder
 */

/** @param {string} folder @returns {ReadonlyArray<string>} paths of all files and links below */
const filesBelow = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()

/**
 * Writes the manifest of a finished folder. Large libraries were checked when they were unpacked, so they are listed by
 * size; every other file also by sha256.
 *
 * @param {string} folder
 * @param {Omit<Manifest, "revision" | "tfjs" | "installedAt" | "files">} facts
 * @returns {Promise<Manifest>}
 */
export const writeManifest = async (folder, facts) => {
  /** @type {Record<string, { bytes: number, sha256?: string }>} */
  const files = {}
  for (const path of filesBelow(folder)) {
    const full = join(folder, path)
    if (lstatSync(full).isSymbolicLink()) continue
    const bytes = statSync(full).size
    files[path] = bytes > largestHashed ? { bytes } : { bytes, sha256: await sha256File(full) }
  }
  const manifest = { revision: engineRevision(), tfjs: tfjsVersion, ...facts, installedAt: new Date().toISOString(), files }
  writeFileSync(join(folder, fileName), `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}

/**
 * The manifest of an engine folder, or nothing when there is none that this version can read.
 *
 * @param {string} folder
 * @returns {Manifest | undefined}
 */
export const readManifest = (folder) => {
  const manifest = manifestIn(folder)
  return manifest?.revision === engineRevision() && manifest.tfjs === tfjsVersion ? manifest : undefined
}

/**
 * The manifest of an engine folder, whichever version of this package wrote it.
 *
 * @param {string} folder
 * @returns {Manifest | undefined}
 */
export const manifestIn = (folder) => {
  try {
    return JSON.parse(readFileSync(join(folder, fileName), "utf8"))
  } catch {
    return undefined
  }
}

/**
 * Whether every file that the manifest lists is there with its size. Contents are not read: this runs at every start.
 *
 * @param {string} folder
 * @returns {boolean}
 */
export const isWhole = (folder) => {
  const manifest = readManifest(folder)
  return manifest !== undefined && Object.entries(manifest.files).every(([path, { bytes }]) =>
    statSync(join(folder, path), { throwIfNoEntry: false })?.size === bytes
  )
}

/**
 * The JavaScript and C++ of `@tensorflow/tfjs-node-gpu`: from `node_modules` when it is there, else from the npm registry.
 *
 * The package is never run as installed: its own install script fetches a library that no longer serves.
 *
 * @since 0.1.0
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, relative } from "node:path"
import { cacheRoot } from "./cache.mjs"
import { integrityOf } from "./checksum.mjs"
import { complaintOf, findProgram, runProgram } from "./command.mjs"
import { EngineError } from "./EngineError.mjs"
import { readTarGz } from "./tar.mjs"
import { tfjsIntegrity, tfjsVersion } from "./versions.mjs"

const packageName = "@tensorflow/tfjs-node-gpu"

/** The kernels, what they share, and the sources of the binding; neither tests nor declarations nor the package's entry point. */
const needed = /^(package\.json|dist\/(nodejs_kernel_backend|register_all_kernels|int64_tensors)\.js|dist\/kernels\/\w+\.js|binding\/\w+\.(cc|h))$/

/** @returns {string | undefined} the package's folder in `node_modules`, when its version is the pinned one */
export const installedTfjs = () => {
  try {
    const path = createRequire(import.meta.url).resolve(`${packageName}/package.json`)
    return JSON.parse(readFileSync(path, "utf8")).version === tfjsVersion ? dirname(path) : undefined
  } catch {
    return undefined
  }
}

/**
 * Puts the needed files of the package into a folder.
 *
 * @param {string} target
 * @param {(line: string) => void} log
 * @returns {Promise<void>}
 */
export const takeTfjs = async (target, log) => {
  const installed = installedTfjs()
  if (installed !== undefined) return copyNeeded(installed, target)
  for (const { name, content } of readTarGz(readFileSync(await tfjsTarball(log)))) {
    writeNeeded(target, name.replace(/^package\//, ""), content)
  }
}

/** @param {string} source @param {string} target */
const copyNeeded = (source, target) => {
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    const path = relative(source, join(entry.parentPath, entry.name))
    if (!entry.isFile() || !needed.test(path)) continue
    mkdirSync(dirname(join(target, path)), { recursive: true })
    copyFileSync(join(source, path), join(target, path))
  }
}

/** @param {string} target @param {string} path @param {Buffer} content */
const writeNeeded = (target, path, content) => {
  if (!needed.test(path)) return
  mkdirSync(dirname(join(target, path)), { recursive: true })
  writeFileSync(join(target, path), content)
}

/**
 * The tarball of the package in the cache, fetched with npm if it is not there, and checked in any case.
 *
 * @param {(line: string) => void} log
 * @returns {Promise<string>} path of the tarball
 */
export const tfjsTarball = async (log) => {
  const kept = join(cacheRoot(), "downloads", `tfjs-node-gpu-${tfjsVersion}.tgz`)
  if (existsSync(kept) && integrityOf(readFileSync(kept)) === tfjsIntegrity) return kept
  log(`downloading ${packageName} ${tfjsVersion} with npm`)
  mkdirSync(dirname(kept), { recursive: true })
  const folder = mkdtempSync(join(dirname(kept), ".pack-"))
  try {
    const packed = await npmPack(folder)
    checkTarball(readFileSync(packed))
    renameSync(packed, kept)
    return kept
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {string} folder @returns {Promise<string>} path of the tarball */
const npmPack = async (folder) => {
  const npm = findProgram("npm")
  const outcome = npm === undefined
    ? { code: 127, output: "", errors: "npm was not found" }
    : await runProgram(npm, ["pack", `${packageName}@${tfjsVersion}`, "--pack-destination", folder, "--silent", "--ignore-scripts"])
  const name = readdirSync(folder).find((file) => file.endsWith(".tgz"))
  if (outcome.code === 0 && name !== undefined) return join(folder, name)
  throw new EngineError(
    "DownloadFailed",
    `npm could not fetch ${packageName}@${tfjsVersion}: ${complaintOf(outcome)}`,
    "Check the network and npm's configuration (`npm config list`), then try again"
  )
}

/**
 * Refuses a tarball whose integrity is not the pinned one.
 *
 * @param {Uint8Array} bytes
 * @returns {void}
 */
export const checkTarball = (bytes) => {
  const found = integrityOf(bytes)
  if (found === tfjsIntegrity) return
  throw new EngineError(
    "ChecksumMismatch",
    `the downloaded ${packageName} ${tfjsVersion} has integrity ${found}, expected ${tfjsIntegrity}`,
    "Do not use it: check which registry npm is configured for (`npm config get registry`) and try again"
  )
}

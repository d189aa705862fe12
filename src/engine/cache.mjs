/**
 * The per-user cache: complete engine folders, each made elsewhere and moved into place in one step.
 *
 * An engine folder is either absent or whole. Work happens in a temporary folder beside it, whose name says which process
 * made it; a folder left behind by a process that is gone is removed by the next installation.
 *
 * @since 0.1.0
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs"
import { homedir, hostname } from "node:os"
import { isAbsolute, join } from "node:path"

const temporaryPrefix = ".making-"
const longestWork = 6 * 60 * 60 * 1000

/** The machine's name as part of a file name: process ids mean nothing on another machine that shares the cache. */
const machine = hostname().replaceAll(/[^A-Za-z0-9]/g, "_")

/**
 * The folder for everything that is downloaded or compiled once a user: `ELF_STREAMS_CACHE`, else `elf-streams` in
 * `XDG_CACHE_HOME`, else in `~/.cache`.
 *
 * @returns {string}
 */
export const cacheRoot = () => {
  const own = process.env["ELF_STREAMS_CACHE"]
  if (own !== undefined && own !== "") return own
  const shared = process.env["XDG_CACHE_HOME"]
  return join(shared !== undefined && isAbsolute(shared) ? shared : join(homedir(), ".cache"), "elf-streams")
}

/**
 * The folder that holds the engines.
 *
 * @returns {string}
 */
export const enginesRoot = () => join(cacheRoot(), "engine")

/**
 * A new, empty temporary folder beside the engines; removed when the process exits, unless it was moved into place.
 *
 * @returns {{ readonly path: string, readonly remove: () => void }}
 */
export const makeTemporary = () => {
  mkdirSync(enginesRoot(), { recursive: true })
  const path = mkdtempSync(join(enginesRoot(), `${temporaryPrefix}${machine}-${process.pid}-`))
  const remove = () => {
    process.removeListener("exit", remove)
    rmSync(path, { recursive: true, force: true })
  }
  process.on("exit", remove)
  return { path, remove }
}

/** @param {number} pid */
const isAlive = (pid) => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** @param {string} name @param {number} changed milliseconds since the epoch */
const isStale = (name, changed) => {
  if (Date.now() - changed > longestWork) return true
  const [, host, pid] = /^\.making-(\w+)-(\d+)-/.exec(name) ?? []
  return host === machine && !isAlive(Number(pid))
}

/**
 * Removes temporary folders whose process is gone (on this machine) or that are older than six hours.
 *
 * @returns {ReadonlyArray<string>} the folders removed
 */
export const removeStale = () => {
  if (!existsSync(enginesRoot())) return []
  const stale = readdirSync(enginesRoot())
    .filter((name) => name.startsWith(temporaryPrefix))
    .map((name) => join(enginesRoot(), name))
    .filter((path) => isStale(path.slice(enginesRoot().length + 1), changedAt(path)))
  for (const path of stale) rmSync(path, { recursive: true, force: true })
  return stale
}

/** @param {string} path */
const changedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/**
 * Moves a finished folder into place under its name.
 *
 * When another process was faster, its folder stays if it is whole, and ours is left for its maker to remove; a broken
 * folder under that name makes way.
 *
 * @param {string} finished
 * @param {string} name
 * @param {(path: string) => boolean} isWhole
 * @returns {string} the folder in place
 */
export const publish = (finished, name, isWhole) => {
  const place = join(enginesRoot(), name)
  for (let attempt = 0; ; attempt++) {
    try {
      renameSync(finished, place)
      return place
    } catch (error) {
      if (!isOccupied(error) || attempt === 2) throw error
      if (isWhole(place)) return place
      moveAside(place)
    }
  }
}

/** @param {unknown} error */
const isOccupied = (error) =>
  error instanceof Error && "code" in error && ["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(String(error.code))

/** @param {string} place */
const moveAside = (place) => {
  const aside = makeTemporary()
  try {
    renameSync(place, join(aside.path, "broken"))
  } catch (error) {
    // Another process moved it first, which serves as well.
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error
  } finally {
    aside.remove()
  }
}

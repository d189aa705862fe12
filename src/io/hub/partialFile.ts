/**
 * Half-fetched files: each belongs to one download at a time, and what a download left behind the next one goes on from.
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import { readdirSync, renameSync } from "node:fs"
import { hostname } from "node:os"
import { basename, dirname, join } from "node:path"

const suffix = ".incomplete"

/** The machine's name as part of a file name: process ids mean nothing on another machine that shares the cache. */
const machine = hostname().replaceAll(/[^A-Za-z0-9]/g, "_")

const ownName = (blob: string, owner: string): string => join(dirname(blob), `${basename(blob)}.${owner}-${randomBytes(4).toString("hex")}${suffix}`)

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Whether nobody works on a partial file of this name: it was let go, or its process is gone. */
const isOrphan = (name: string): boolean => {
  const [, owner = ""] = /\.([^.]+)-[0-9a-f]{8}\.incomplete$/.exec(name) ?? []
  if (owner === "free") return true
  const [, host, pid] = /^(.+)_(\d+)$/.exec(owner) ?? []
  return host === machine && !isAlive(Number(pid))
}

/** Renames a file if it is still there: of two processes that want it one gets it. */
const taken = (from: string, to: string): boolean => {
  try {
    renameSync(from, to)
    return true
  } catch {
    return false
  }
}

/** The path of a partial file for `blob` that is this download's alone: one that was left behind, or a new name. */
export const claimPartial = (blob: string): string => {
  const own = ownName(blob, `${machine}_${process.pid}`)
  const orphans = readdirSync(dirname(blob)).filter((name) => name.startsWith(`${basename(blob)}.`) && name.endsWith(suffix) && isOrphan(name))
  orphans.find((name) => taken(join(dirname(blob), name), own))
  return own
}

/** Leaves a partial file to whoever wants the blob next. */
export const releasePartial = (partial: string, blob: string): void => {
  taken(partial, ownName(blob, "free"))
}

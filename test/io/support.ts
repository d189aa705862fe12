/** Folders that vanish after a test, and a disk that fails when told to. */
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Disk, type DiskFile, type DiskOperations } from "../../src/io/index.ts"
import { nodeDisk } from "../../src/io/Disk.ts"

/** Runs a test with a folder of its own. */
export const inFolder = <A, E, R>(body: (folder: string) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "elf-io-"))),
    body,
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

const failure = (code: string) => Object.assign(new Error(code), { code })

export interface Faults {
  readonly disk: DiskOperations
  /** Operations that change the disk, in order. */
  readonly done: Array<string>
}

/**
 * The real disk whose `failAt`-th changing operation fails (from 0).
 *
 * With `dead` every later one fails too, as if the process had been killed: not even cleaning up succeeds. A write that
 * fails leaves half of its bytes behind.
 */
export const faulty = (failAt: number, code: "ENOSPC" | "EIO" = "ENOSPC", dead = false): Faults => {
  const done: Array<string> = []
  const step = async <A>(name: string, run: () => Promise<A>, half?: () => Promise<unknown>): Promise<A> => {
    const index = done.push(name) - 1
    if (index === failAt) await half?.()
    if (index === failAt || (dead && index > failAt)) throw failure(code)
    return run()
  }
  const wrap = (file: DiskFile): DiskFile => ({
    ...file,
    append: (bytes) => step("append", () => file.append(bytes), () => file.append(bytes.subarray(0, bytes.length >> 1))),
    sync: () => step("sync", () => file.sync())
  })
  const disk: DiskOperations = {
    ...nodeDisk,
    openToWrite: (path) => step("open", () => nodeDisk.openToWrite(path).then(wrap)),
    rename: (from, to) => step("rename", () => nodeDisk.rename(from, to)),
    remove: (path) => step("remove", () => nodeDisk.remove(path)),
    makeFolder: (path) => step("makeFolder", () => nodeDisk.makeFolder(path)),
    syncFolder: (path) => step("syncFolder", () => nodeDisk.syncFolder(path))
  }
  return { disk, done }
}

/** Runs an effect on another disk. */
export const onDisk = (disk: DiskOperations) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, Disk, disk)

/** Whole numbers in [0, bound), the same ones for the same seed. */
export const numbers = (seed: number) => {
  let state = seed >>> 0
  return (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  }
}

/** The real disk, counting the files open for reading. */
export const counting = () => {
  const open = { now: 0, ever: 0 }
  const openToRead = async (path: string): Promise<DiskFile> => {
    const file = await nodeDisk.openToRead(path)
    open.now++
    open.ever++
    return { ...file, close: () => file.close().finally(() => open.now--) }
  }
  return { disk: { ...nodeDisk, openToRead }, open }
}

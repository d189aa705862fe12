/** The real disk, on which this process is killed in the middle of one operation. */
import { type DiskFile, type DiskOperations, nodeDisk } from "../../src/io/Disk.ts"

/** SIGKILL comes from outside of the program: nothing after it runs. */
const die = (): Promise<never> => {
  process.kill(process.pid, "SIGKILL")
  return new Promise(() => undefined)
}

/**
 * The disk whose `at`-th changing operation (from 0: open, append, sync, rename, remove, make a folder, sync one) is
 * this process's last. Of an append half is written; other operations are not begun.
 */
export const killingDisk = (at: number): DiskOperations => {
  let done = 0
  const last = () => done++ === at
  const step = async <A>(run: () => Promise<A>): Promise<A> => (last() ? die() : run())
  const wrap = (file: DiskFile): DiskFile => ({
    ...file,
    append: async (bytes) => {
      if (!last()) return file.append(bytes)
      await file.append(bytes.subarray(0, bytes.length >> 1))
      return die()
    },
    sync: () => step(() => file.sync())
  })
  return {
    ...nodeDisk,
    openToWrite: (path) => step(() => nodeDisk.openToWrite(path).then(wrap)),
    rename: (from, to) => step(() => nodeDisk.rename(from, to)),
    remove: (path) => step(() => nodeDisk.remove(path)),
    makeFolder: (path) => step(() => nodeDisk.makeFolder(path)),
    syncFolder: (path) => step(() => nodeDisk.syncFolder(path))
  }
}

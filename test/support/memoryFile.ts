/** A file in memory, for disks that have no files. */
import type { DiskFile } from "../../src/io/index.ts"

/** A file that holds `bytes` and can only be read. */
export const memoryFile = (bytes: Uint8Array): DiskFile => ({
  size: bytes.length,
  modified: 0,
  read: (into, position) => {
    const part = bytes.subarray(position, position + into.length)
    into.set(part)
    return Promise.resolve(part.length)
  },
  append: () => Promise.reject(new Error("read only")),
  sync: () => Promise.resolve(),
  close: () => Promise.resolve()
})

/** A disk in memory, so that a hundred thousand files cost no disk. */
import { basename } from "node:path"
import type { DiskOperations } from "../../src/io/index.ts"
import { nodeDisk } from "../../src/io/Disk.ts"
import { memoryFile } from "../support/memoryFile.ts"
import type { Case } from "./Reader.ts"

const missing = () => Promise.reject(Object.assign(new Error("no such file"), { code: "ENOENT" }))

/** A disk on which a file holds the case's bytes, or those of its name. */
export const diskOf = (files: Case): DiskOperations => {
  const bytesOf = (path: string): Uint8Array | undefined => files instanceof Uint8Array ? files : files[basename(path)]
  return {
    ...nodeDisk,
    kind: (path) => Promise.resolve(bytesOf(path) === undefined ? path.endsWith("folder") ? "folder" : "missing" : "file"),
    list: () => Promise.resolve([]),
    openToRead: (path) => {
      const bytes = bytesOf(path)
      return bytes === undefined ? missing() : Promise.resolve(memoryFile(bytes))
    }
  }
}

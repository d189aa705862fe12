/** Parquet files in memory, and ways to damage them. */
import { Effect, Result } from "effect"
import { Disk, type DiskFile, type DiskOperations, type Parquet } from "../../src/io/index.ts"
import { nodeDisk } from "../../src/io/Disk.ts"
import { digestFile } from "./parquetDigest.ts"

/** A disk on which every path is a file of these bytes. */
export const memory = (bytes: Uint8Array): DiskOperations => {
  const file: DiskFile = {
    size: bytes.length,
    modified: 0,
    read: async (into, position) => {
      const part = bytes.subarray(position, position + into.length)
      into.set(part)
      return part.length
    },
    append: () => Promise.reject(new Error("read only")),
    sync: async () => {},
    close: async () => {}
  }
  return { ...nodeDisk, kind: async () => "file", openToRead: async () => file }
}

/** The digests of all columns of a file of these bytes, or its error; anything else that happens is a fault. */
export const digestBytes = (bytes: Uint8Array): Effect.Effect<string | Parquet.ParquetError> =>
  digestFile("memory.parquet").pipe(
    Effect.provideService(Disk, memory(bytes)),
    Effect.result,
    Effect.map((result) => Result.isSuccess(result) ? JSON.stringify(result.success) : result.failure)
  )

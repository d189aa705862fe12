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

/** One random change: bits, bytes, a stretch filled or cut out or doubled. `below(n)` draws from [0, n). */
export const mutate = (original: Uint8Array, below: (bound: number) => number): Uint8Array => {
  const bytes = Uint8Array.from(original)
  const [at, length] = [below(bytes.length), 1 + below(64)]
  switch (below(6)) {
    case 0:
      bytes[at]! ^= 1 << below(8)
      return bytes
    case 1:
      for (let k = 0; k <= below(8); k++) bytes[below(bytes.length)] = below(256)
      return bytes
    case 2:
      return bytes.fill(below(2) === 0 ? 0xff : 0x80, at, at + length)
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at)])
    default:
      // The footer and the headers are where sizes, offsets and counts are.
      bytes[Math.max(0, bytes.length - 1 - below(Math.min(bytes.length, 900)))] = below(256)
      return bytes
  }
}

/** Rejections that nobody handled while `body` ran. */
export const unhandledDuring = <A>(body: Effect.Effect<A>): Effect.Effect<readonly [A, ReadonlyArray<unknown>]> =>
  Effect.gen(function*() {
    const unhandled: Array<unknown> = []
    const listen = (reason: unknown) => unhandled.push(reason)
    process.on("unhandledRejection", listen)
    const value = yield* body
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
    process.off("unhandledRejection", listen)
    return [value, unhandled] as const
  })

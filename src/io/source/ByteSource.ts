/**
 * Bytes with a size that are read in ranges: a file on disk, or an object behind http(s) or an S3-compatible store.
 *
 * @since 0.2.0
 */
import { Effect, type Scope } from "effect"
import { openDiskSource } from "./diskSource.ts"
import { openHttpSource } from "./httpSource.ts"
import { Remote } from "./Remote.ts"
import { isS3, s3Requests } from "./s3.ts"
import type { SourceError } from "./SourceError.ts"

/** An open source; it stays open until its scope closes. */
export interface ByteSource {
  /** Size in bytes when it was opened; a source that changes afterwards fails to read. */
  readonly size: number
  /** Another one after every change that the disk or the server lets know of; empty where it says nothing. */
  readonly version: string
  /** Bytes that are fetched at once where much is read: a remote source wants few requests. */
  readonly windowBytes: number
  /** The bytes `begin ≤ i < end`, which must lie inside the source; rejects with a {@link SourceError}. */
  readonly read: (begin: number, end: number) => Promise<Uint8Array<ArrayBuffer>>
}

/** Whether a path is a URL of a web server. */
export const isHttp = (path: string): boolean => /^https?:\/\//i.test(path)

/** Whether a path is no path on disk. */
const isRemote = (path: string): boolean => isHttp(path) || isS3(path)

/** Opens a path, an `http(s)://` URL or an `s3://bucket/key`. */
export const openSource = (path: string): Effect.Effect<ByteSource, SourceError, Scope.Scope> =>
  Effect.gen(function*() {
    if (!isRemote(path)) return yield* openDiskSource(path)
    const remote = yield* Remote
    const request = isS3(path) ? yield* s3Requests(path, remote) : { url: path, fetch: remote.fetch }
    return yield* openHttpSource(path, request, remote)
  })

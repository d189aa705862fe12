/**
 * Which source a path names, and how it is opened.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import type { ByteSource } from "./ByteSource.ts"
import { openDiskSource } from "./diskSource.ts"
import { openHttpSource } from "./httpSource.ts"
import { Remote } from "./Remote.ts"
import { isS3, s3Requests } from "./s3.ts"
import type { SourceError } from "./SourceError.ts"

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

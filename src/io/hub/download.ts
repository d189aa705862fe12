/**
 * One file from a hub into the cache: in part, gone on with, checked, and only then under its name.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Schedule, Stream } from "effect"
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { type FileHandle, mkdir, open, rm } from "node:fs/promises"
import { dirname } from "node:path"
import { pipeline } from "node:stream/promises"
import { attempt } from "../Disk.ts"
import { publishBlob } from "./hubCache.ts"
import { failing, fromDiskError, type HubError, type HubFile } from "./HubError.ts"
import { type Announced, broken, requestBytes } from "./hubRequest.ts"
import type { HubSettings } from "./hubSettings.ts"
import { claimPartial, releasePartial } from "./partialFile.ts"

/** What to fetch and where to put it. */
export interface Download {
  readonly settings: HubSettings
  readonly file: HubFile
  readonly announced: Announced
  /** Path of the finished bytes. */
  readonly blob: string
}

const disk = <A>({ file }: Download, operation: string, path: string, run: () => Promise<A>): Effect.Effect<A, HubError> =>
  Effect.mapError(attempt(operation, path, run), fromDiskError(file))

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`

const secondsBetweenLines = 5

/** Says how far a download is, every few seconds. */
const progress = ({ announced: { size }, file: { file, repository } }: Download, from: number) =>
  Effect.map(Clock.currentTimeMillis, (started) => {
    let shown = started
    return (done: number) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (now - shown < secondsBetweenLines * 1000 || done === size) return Effect.void
        shown = now
        const rate = (done - from) / (now - started) * 1000
        return Effect.logInfo(`${repository} ${file}: ${Math.floor(100 * done / size)} % of ${megabytes(size)}, ${megabytes(rate)}/s, ${Math.ceil((size - done) / rate)} s left`)
      })
  })

const append = (download: Download, handle: FileHandle, partial: string, from: number, body: AsyncIterable<Uint8Array>) =>
  Effect.gen(function*() {
    const { announced: { size }, file, settings } = download
    const show = yield* progress(download, from)
    let position = from
    yield* Stream.runForEach(Stream.fromAsyncIterable(body, (cause) => broken(settings, file, cause)), (chunk) =>
      Effect.gen(function*() {
        if (position + chunk.length > size) return yield* failing(file, "corrupt", `more than the announced ${size} bytes came`, "Try again")
        yield* disk(download, "write", partial, () => handle.write(chunk, 0, chunk.length, position))
        position += chunk.length
        yield* show(position)
      }))
    return position
  })

const truncated = ({ announced: { size }, file }: Download, at: number): HubError =>
  failing(file, "network", `the answer ended after ${at} of ${size} bytes`, "Try again: what has come so far is kept")

/** Fetches what is missing of the partial file; fails with "network" where the connection broke, and may be called again. */
const fetchRest = (download: Download, partial: string): Effect.Effect<void, HubError> =>
  Effect.acquireUseRelease(
    // "a" creates the file without emptying it; writing at positions needs "r+".
    disk(download, "open", partial, async () => {
      await (await open(partial, "a")).close()
      return open(partial, "r+")
    }),
    (handle) =>
      Effect.gen(function*() {
        const { announced: { size }, file, settings } = download
        const { size: present } = yield* disk(download, "read", partial, () => handle.stat())
        if (present === size) return
        const { body, from } = yield* requestBytes(settings, file, present < size ? present : 0)
        if (from < present) yield* disk(download, "write", partial, () => handle.truncate(from))
        const end = yield* append(download, handle, partial, from, body)
        if (end < size) return yield* truncated(download, end)
      }),
    (handle) => Effect.promise(() => handle.close().catch(() => undefined))
  )

/** The hash that a checksum of this length is: sha256 of the bytes, or git's of a blob. */
const hashFor = ({ etag, size }: Announced) =>
  /^[0-9a-f]{64}$/.test(etag) ? createHash("sha256") :
  /^[0-9a-f]{40}$/.test(etag) ? createHash("sha1").update(`blob ${size}\0`) :
  undefined

const check = (download: Download, partial: string): Effect.Effect<void, HubError> =>
  Effect.gen(function*() {
    const { announced, file } = download
    const hash = hashFor(announced)
    if (hash === undefined) return
    yield* disk(download, "read", partial, () => pipeline(createReadStream(partial, { highWaterMark: 1 << 20 }), hash))
    const found = hash.digest("hex")
    if (found === announced.etag) return
    yield* disk(download, "remove", partial, () => rm(partial, { force: true }))
    return yield* failing(file, "corrupt", `the bytes have the checksum ${found}, announced was ${announced.etag}`, "They were thrown away: try again, and if it stays so check proxy and HF_ENDPOINT")
  })

const mayPass = ({ reason, status }: HubError): boolean => reason === "network" && (status === undefined || status === 429 || status >= 500)

/** Half a second, then twice as long each time: a connection that breaks now and then brings the whole file in the end. */
const again = { schedule: Schedule.exponential("500 millis"), times: 5, while: mayPass }

/** Fetches a file. Interrupted or killed, it leaves what it has to the next download of the same bytes. */
export const download = (what: Download): Effect.Effect<void, HubError> =>
  Effect.gen(function*() {
    const { announced: { size }, blob, file } = what
    yield* disk(what, "make the folder", dirname(blob), () => mkdir(dirname(blob), { recursive: true }))
    if (size >= 1e6) yield* Effect.logInfo(`fetching ${file.file} of ${file.repository}, ${megabytes(size)}`)
    yield* Effect.acquireUseRelease(
      Effect.sync(() => claimPartial(blob)),
      (partial) =>
        Effect.retry(fetchRest(what, partial), again).pipe(
          Effect.andThen(check(what, partial)),
          Effect.andThen(Effect.mapError(publishBlob(partial, blob), fromDiskError(file)))
        ),
      (partial) => Effect.sync(() => releasePartial(partial, blob))
    )
  })

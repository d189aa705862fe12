/**
 * An object behind HTTP, read with Range requests. That it is still the one that was opened is checked with every range.
 *
 * @source https://www.rfc-editor.org/rfc/rfc9110#name-range-requests
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import type { ByteSource } from "./ByteSource.ts"
import type { RemoteSettings } from "./Remote.ts"
import { statusError, withRetries } from "./retry.ts"
import { failing, SourceError } from "./SourceError.ts"

/** How an object is asked for. */
export interface ObjectRequests {
  readonly url: string
  readonly fetch: (request: Request) => Promise<Response>
}

// The end of the file holds the footer: with it, size and footer are one request.
const tailBytes = 1 << 16

/** What tells one version of an object from another. */
interface Version {
  readonly size: number
  readonly etag: string | null
  readonly modified: string | null
}

interface Part extends Version {
  readonly begin: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

const partOf = async (source: string, response: Response): Promise<Part | undefined> => {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("content-range") ?? "")
  if (response.status !== 206 || match === null) {
    await response.body?.cancel()
    return undefined
  }
  const [begin, last, size] = match.slice(1).map(Number) as [number, number, number]
  const bytes = new Uint8Array(await response.arrayBuffer())
  if (bytes.length !== last + 1 - begin) throw new Error(`${bytes.length} bytes came where ${last + 1 - begin} were announced`)
  if (last >= size) throw failing(source)("network", "the server's Content-Range is impossible", "use another server")
  return { begin, bytes, size, etag: response.headers.get("etag"), modified: response.headers.get("last-modified") }
}

class HttpObject {
  readonly #source: string
  readonly #requests: ObjectRequests
  readonly #settings: RemoteSettings
  readonly #closed: AbortSignal

  constructor(source: string, requests: ObjectRequests, settings: RemoteSettings, closed: AbortSignal) {
    this.#source = source
    this.#requests = requests
    this.#settings = settings
    this.#closed = closed
  }

  get #fail() {
    return failing(this.#source)
  }

  #get<A>(range: string, version: Version | undefined, handle: (response: Response) => Promise<A>): Promise<A> {
    // A compressed answer would have other ranges.
    const headers = new Headers({ range, "accept-encoding": "identity" })
    const strong = version?.etag != null && !version.etag.startsWith("W/")
    if (strong) headers.set("if-range", version.etag!)
    const fetch = () => {
      const signal = AbortSignal.any([this.#closed, AbortSignal.timeout(this.#settings.timeout)])
      return this.#requests.fetch(new Request(this.#requests.url, { headers, signal }))
    }
    return withRetries(this.#source, this.#settings, fetch, handle)
  }

  /** The end of the object, and with it its size and version. */
  async tail(): Promise<Part> {
    const part = await this.#get(`bytes=-${tailBytes}`, undefined, (response) => this.#tailPart(response))
    if (part !== undefined) return part
    // Some servers know ranges, but not those that count from the end.
    const first = await this.#get("bytes=0-0", undefined, (response) => this.#required(response))
    const begin = Math.max(0, first.size - tailBytes)
    return { ...first, begin, bytes: await this.range(begin, first.size, first) }
  }

  async #tailPart(response: Response): Promise<Part | undefined> {
    if (response.status === 416 && response.headers.get("content-range") === "bytes */0") {
      return { begin: 0, bytes: new Uint8Array(), size: 0, etag: null, modified: null }
    }
    if (!response.ok && response.status !== 416) throw statusError(this.#source, response.status)
    return partOf(this.#source, response)
  }

  async #required(response: Response): Promise<Part> {
    const part = await partOf(this.#source, response)
    if (part !== undefined) return part
    if (!response.ok) throw statusError(this.#source, response.status)
    throw this.#fail("noRanges", "the server does not answer Range requests", "download the file, or use a server that does")
  }

  async range(begin: number, end: number, version: Version): Promise<Uint8Array<ArrayBuffer>> {
    if (begin === end) return new Uint8Array()
    const { bytes, ...found } = await this.#get(`bytes=${begin}-${end - 1}`, version, async (response) => {
      if (response.status === 200 || response.status === 416 || response.status === 412) {
        await response.body?.cancel()
        throw this.#changed()
      }
      return this.#required(response)
    })
    const same = found.size === version.size && found.etag === version.etag && found.modified === version.modified
    if (!same) throw this.#changed()
    if (found.begin !== begin || bytes.length !== end - begin) throw this.#fail("network", "the server sent another range than was asked for", "use another server")
    return bytes
  }

  #changed(): SourceError {
    return this.#fail("changed", "the file was changed on the server while it was being read", "read it again from the start")
  }
}

/** Opens an object; its end is fetched at once. Requests under way are aborted when the scope closes. */
export const openHttpSource = (
  source: string,
  requests: ObjectRequests,
  settings: RemoteSettings
): Effect.Effect<ByteSource, SourceError, Scope.Scope> =>
  Effect.gen(function*() {
    const abort = yield* Effect.acquireRelease(Effect.sync(() => new AbortController()), (controller) => Effect.sync(() => controller.abort()))
    const object = new HttpObject(source, requests, settings, abort.signal)
    const tail = yield* Effect.tryPromise({
      try: () => object.tail(),
      catch: (cause) => cause instanceof SourceError ? cause : failing(source)("network", `the request failed (${String(cause)})`, "check the address")
    })
    return {
      size: tail.size,
      version: tail.etag ?? tail.modified ?? "",
      windowBytes: settings.windowBytes,
      read: async (begin, end) =>
        begin >= tail.begin ? tail.bytes.slice(begin - tail.begin, end - tail.begin) : object.range(begin, end, tail)
    } satisfies ByteSource
  })

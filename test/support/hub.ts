/** A hub on this machine: the hub's paths, headers and redirects, with a storage host of its own and faults on demand. */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join, relative, sep } from "node:path"
import type { HubSettings } from "../../src/io/hub/Hub.ts"

/** What goes wrong; each is looked at for every answer. */
export interface Faults {
  /** The connection breaks after so many bytes of an answer; counted down. */
  cuts: Array<number>
  /** What the hub answers, 200 as ever; counted down. */
  statuses: Array<number>
  /** The storage does not do parts. */
  ignoresRange: boolean
  /** The storage sends other bytes. */
  corrupts: boolean
  /** Sends large files slowly. */
  slow: boolean
  /** Answers as a host does that is no hub. */
  noHub: boolean
}

/** What was asked for: `HEAD /owner/name/resolve/main/config.json`, and with which headers. */
export interface Asked {
  readonly what: string
  readonly range: string | undefined
  readonly authorization: string | undefined
  readonly from: "hub" | "storage"
}

interface Entry {
  readonly bytes: Buffer
  readonly etag: string
  /** Large files lie on the storage host. */
  readonly large: boolean
}

export const commit = "0123456789abcdef0123456789abcdef01234567"

const entryOf = (path: string, bytes: Buffer): Entry => {
  const large = /\.(safetensors|onnx|bin)$/.test(path)
  const hash = large ? createHash("sha256") : createHash("sha1").update(`blob ${bytes.length}\0`)
  return { bytes, large, etag: hash.update(bytes).digest("hex") }
}

const readFolder = async (folder: string): Promise<Map<string, Entry>> => {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name))
  return new Map(await Promise.all(files.map(async (path) => {
    const name = relative(folder, path).split(sep).join("/")
    return [name, entryOf(name, await readFile(path))] as const
  })))
}

const started = (server: Server): Promise<string> =>
  new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)))

const stopped = (server: Server): Promise<void> => {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(() => resolve()))
}

/** A hub with repositories from folders; `token` guards those named in `guarded`. */
export const fakeHub = (folders: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const repositories = new Map(await Promise.all(Object.entries(folders).map(async ([name, folder]) => [name, await readFolder(folder)] as const)))
      const renamed = new Map<string, string>()
      const gated = new Set<string>()
      const asked: Array<Asked> = []
      const faults: Faults = { cuts: [], statuses: [], ignoresRange: false, corrupts: false, slow: false, noHub: false }
      const note = (request: IncomingMessage, from: Asked["from"]) =>
        void asked.push({ what: `${request.method} ${request.url}`, range: request.headers.range, authorization: request.headers.authorization, from })

      const send = async (request: IncomingMessage, response: ServerResponse, { bytes, etag }: Entry, headers: Record<string, string>) => {
        const from = faults.ignoresRange ? 0 : Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0)
        const body = Buffer.from(bytes.subarray(from))
        if (faults.corrupts) body[0]! ^= 1
        response.writeHead(from === 0 ? 200 : 206, { etag: `"${etag}"`, "content-length": body.length, ...(from === 0 ? {} : { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` }), ...headers })
        if (request.method === "HEAD") return void response.end()
        const cut = faults.cuts.shift()
        if (cut !== undefined) return void response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 20))
        for (let at = 0; faults.slow && at < body.length && !response.destroyed; at += 8192) {
          response.write(body.subarray(at, at + 8192))
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
        response.end(faults.slow ? undefined : body)
      }

      const storage = createServer((request, response) => {
        note(request, "storage")
        const entry = [...repositories.values()].flatMap((files) => [...files.values()]).find(({ etag }) => request.url === `/blobs/${etag}`)
        if (entry === undefined || request.headers.authorization !== undefined) return void response.writeHead(400).end()
        void send(request, response, entry, {})
      })
      const storageUrl = await started(storage)

      const smallFile = (url: string): Entry | undefined => {
        const [, etag] = /^\/api\/resolve-cache\/[^?]+\?etag=(\w+)$/.exec(url) ?? []
        return etag === undefined ? undefined : [...repositories.values()].flatMap((files) => [...files.values()]).find((each) => each.etag === etag)
      }

      /** Small files come from the hub itself, by way of a path of their own; large ones from the storage. */
      const lead = (response: ServerResponse, { bytes, etag, large }: Entry, path: string) => {
        const common = { "x-repo-commit": commit, "content-length": 0, etag: "\"of the redirect\"" }
        if (!large) return void response.writeHead(307, { ...common, location: `/api/resolve-cache/${path}?etag=${etag}` }).end()
        response.writeHead(302, { ...common, location: `${storageUrl}/blobs/${etag}`, "x-linked-etag": `"${etag}"`, "x-linked-size": bytes.length }).end()
      }

      const refuse = (response: ServerResponse, status: number, code: string, message = code) => void response.writeHead(status, { "x-error-code": code, "x-error-message": message }).end()

      const hub = createServer((request, response) => {
        note(request, "hub")
        const status = faults.statuses.shift()
        if (status !== undefined && status !== 200) return refuse(response, status, "")
        if (faults.noHub) return void response.writeHead(200, { "content-length": "2" }).end("hi")
        const small = smallFile(request.url ?? "")
        if (small !== undefined) return void send(request, response, small, {})
        const [, name = "", revision = "", file = ""] = /^\/([^/]+\/[^/]+|[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(request.url ?? "") ?? []
        const moved = renamed.get(name)
        if (moved !== undefined) return void response.writeHead(307, { location: `/${moved}/resolve/${revision}/${file}` }).end()
        const files = repositories.get(name)
        if (files === undefined) return request.headers.authorization === undefined ? refuse(response, 401, "RepoNotFound") : refuse(response, 404, "RepoNotFound")
        if (gated.has(name) && request.headers.authorization !== "Bearer good") return refuse(response, 403, "GatedRepo", "you are not on the list")
        if (!["main", "refs/pr/1", commit].includes(decodeURIComponent(revision))) return refuse(response, 404, "RevisionNotFound")
        const entry = files.get(decodeURIComponent(file))
        if (entry === undefined) return refuse(response, 404, "EntryNotFound")
        lead(response, entry, `${name}/${file}`)
      })
      const endpoint = await started(hub)
      const cache = await mkdtemp(join(tmpdir(), "elf-hub-"))
      const settings: HubSettings = { endpoint, token: undefined, offline: false, cache }
      return { asked, cache, endpoint, faults, gated, renamed, repositories, settings, close: () => Promise.all([stopped(hub), stopped(storage)]) }
    }),
    ({ cache, close }) => Effect.promise(async () => {
      await close()
      await rm(cache, { recursive: true, force: true })
    })
  )

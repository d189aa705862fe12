/** Web servers on this machine that serve bytes well or badly, and one that speaks S3. */
import { Effect, type Scope } from "effect"
import { createHash, createHmac } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export interface Served {
  readonly url: string
  /** Ranges (or methods) that were asked for, in order. */
  readonly requests: Array<string>
}

/** Answers a request for `bytes` with its range. */
export const sendRange = (request: IncomingMessage, response: ServerResponse, bytes: Uint8Array, etag: string): void => {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "") ?? []
  if (first === undefined || (request.headers["if-range"] ?? etag) !== etag) {
    response.writeHead(200, { etag, "content-length": bytes.length }).end(bytes)
    return
  }
  if (bytes.length === 0) return void response.writeHead(416, { "content-range": "bytes */0" }).end()
  const begin = first === "" ? Math.max(0, bytes.length - Number(last)) : Number(first)
  const end = first === "" || last === "" ? bytes.length : Math.min(Number(last) + 1, bytes.length)
  response.writeHead(206, { etag, "content-range": `bytes ${begin}-${end - 1}/${bytes.length}`, "content-length": end - begin })
  response.end(bytes.subarray(begin, end))
}

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void

/** A server that lives as long as the scope; `count` numbers its requests from 0. */
export const serve = (answer: Answer): Effect.Effect<Served, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const requests: Array<string> = []
        const server = createServer((request, response) => answer(request, response, requests.push(request.headers.range ?? request.method ?? "") - 1))
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
        return { requests, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
      }),
      ({ server }) => Effect.promise(() => new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }))
    ),
    ({ requests, url }) => ({ requests, url })
  )

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")
const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest()

/** Whether a request carries the signature (version 4) that the secret makes; written from the specification. */
const isSigned = (request: IncomingMessage, secret: string): boolean => {
  const match = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d+)\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)$/.exec(request.headers.authorization ?? "")
  if (match === null) return false
  const [, , date, region, names, signature] = match
  const url = new URL(request.url!, `http://${request.headers.host}`)
  const encode = (text: string) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  const query = [...url.searchParams].map(([key, value]) => `${encode(key)}=${encode(value)}`).sort().join("&")
  const headers = names!.split(";").map((name) => `${name}:${String(request.headers[name])}\n`).join("")
  const payload = String(request.headers["x-amz-content-sha256"])
  const canonical = [request.method, url.pathname, query, headers, names, payload].join("\n")
  const toSign = ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], `${date}/${region}/s3/aws4_request`, sha256(canonical)].join("\n")
  const key = [date!, region!, "s3", "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${secret}`)
  return hmac(key, toSign).toString("hex") === signature
}

const escapeXml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

/** A bucket that wants signatures and lists two keys a page. */
export const s3Bucket = (objects: Readonly<Record<string, Uint8Array>>, secret: string) =>
  serve((request, response) => {
    const url = new URL(request.url!, "http://store")
    if (!isSigned(request, secret)) return void response.writeHead(403).end("<Error/>")
    const prefix = url.searchParams.get("prefix")
    if (prefix === null) {
      const bytes = objects[decodeURIComponent(url.pathname).replace("/corpus/", "")]
      return bytes === undefined ? void response.writeHead(404).end() : sendRange(request, response, bytes, "\"v1\"")
    }
    const keys = Object.keys(objects).filter((key) => key.startsWith(prefix)).sort()
    const from = Number(url.searchParams.get("continuation-token") ?? 0)
    const contents = keys.slice(from, from + 2).map((key) => `<Contents><Key>${escapeXml(encodeURIComponent(key))}</Key></Contents>`)
    const more = from + 2 < keys.length ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${from + 2}</NextContinuationToken>` : "<IsTruncated>false</IsTruncated>"
    response.end(`<ListBucketResult><EncodingType>url</EncodingType>${more}${contents.join("")}</ListBucketResult>`)
  })

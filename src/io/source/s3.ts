/**
 * S3-compatible stores: addresses, signed requests, and listing. Signing is done by `aws4fetch`, an optional dependency.
 *
 * Endpoint, region and credentials come from the environment, as for other tools: `AWS_ENDPOINT_URL_S3` or
 * `AWS_ENDPOINT_URL`, `AWS_REGION` or `AWS_DEFAULT_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
 * `AWS_SESSION_TOKEN`. Without credentials requests are not signed, as public buckets want it.
 *
 * @source https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { ObjectRequests } from "./httpSource.ts"
import type { RemoteSettings } from "./Remote.ts"
import { statusError, withRetries } from "./retry.ts"
import { failing, SourceError } from "./SourceError.ts"

/** Whether a path names objects of a store. */
export const isS3 = (path: string): boolean => path.startsWith("s3://")

/** `s3://bucket/key`, taken apart. */
export interface S3Address {
  readonly bucket: string
  readonly key: string
}

/** The parts of `s3://bucket/key`. */
export const parseS3 = (path: string): S3Address => {
  const [, bucket = "", key = ""] = /^s3:\/\/([^/]*)\/?(.*)$/s.exec(path) ?? []
  return { bucket, key }
}

const encodeKey = (key: string): string =>
  key.split("/").map((part) => encodeURIComponent(part).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)).join("/")

const regionOf = (environment: RemoteSettings["environment"]): string => environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? "us-east-1"

/** The URL of a bucket: on the path where there is an endpoint of one's own, in the host name on AWS. */
const bucketUrl = (bucket: string, environment: RemoteSettings["environment"]): string => {
  const endpoint = environment["AWS_ENDPOINT_URL_S3"] ?? environment["AWS_ENDPOINT_URL"]
  if (endpoint !== undefined) return `${endpoint.replace(/\/+$/, "")}/${bucket}`
  const host = `s3.${regionOf(environment)}.amazonaws.com`
  return bucket.includes(".") ? `https://${host}/${bucket}` : `https://${bucket}.${host}`
}

type Fetch = ObjectRequests["fetch"]

/** Requests with the signature of the environment's credentials. */
const signing = (source: string, { environment, fetch }: RemoteSettings): Effect.Effect<Fetch, SourceError> => {
  const [accessKeyId, secretAccessKey, sessionToken] = [environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment["AWS_SESSION_TOKEN"]]
  if (accessKeyId === undefined || secretAccessKey === undefined) return Effect.succeed(fetch)
  return Effect.tryPromise({
    try: async (): Promise<Fetch> => {
      const { AwsClient } = await import("aws4fetch")
      const client = new AwsClient({
        accessKeyId,
        secretAccessKey,
        service: "s3",
        region: regionOf(environment),
        retries: 0,
        ...(sessionToken === undefined ? {} : { sessionToken })
      })
      return async (request) => {
        // Range and the like stay outside the signature: what is on the way may change them.
        const signed = await client.sign(request.url)
        const headers = new Headers([...request.headers, ...signed.headers])
        return fetch(new Request(request.url, { headers, signal: request.signal }))
      }
    },
    catch: (cause) => failing(source)("unsupported", `requests cannot be signed (${String(cause)})`, "npm install aws4fetch")
  })
}

/** How the object at an `s3://` address is asked for. */
export const s3Requests = (path: string, remote: RemoteSettings): Effect.Effect<ObjectRequests, SourceError> => {
  const { bucket, key } = parseS3(path)
  if (bucket === "" || key === "") return Effect.fail(failing(path)("missing", "the address has no bucket or no key", "write s3://bucket/key"))
  return Effect.map(signing(path, remote), (fetch) => ({ url: `${bucketUrl(bucket, remote.environment)}/${encodeKey(key)}`, fetch }))
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: "\"", apos: "'" }

const unescapeXml = (text: string): string =>
  text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex?: string, decimal?: string, name?: string) =>
    hex !== undefined ? String.fromCodePoint(parseInt(hex, 16)) : decimal !== undefined ? String.fromCodePoint(Number(decimal)) : entities[name!] ?? whole)

const element = (xml: string, name: string): string | undefined => {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1]
  return found === undefined ? undefined : unescapeXml(found)
}

/** One page of a listing: its keys, and the token of the next page. */
const parseListing = (xml: string): { readonly keys: ReadonlyArray<string>; readonly next: string | undefined } => {
  const isEncoded = element(xml, "EncodingType") === "url"
  const decode = (key: string) => isEncoded ? decodeURIComponent(key.replaceAll("+", " ")) : key
  const keys = xml.split("<Contents>").slice(1).flatMap((part) => element(part, "Key") ?? [])
  return { keys: keys.map(decode), next: element(xml, "IsTruncated") === "true" ? element(xml, "NextContinuationToken") : undefined }
}

/** All keys of a bucket that begin with `prefix`, page by page, sorted. */
export const listKeys = (path: string, { bucket, key: prefix }: S3Address, remote: RemoteSettings): Effect.Effect<ReadonlyArray<string>, SourceError> =>
  Effect.gen(function*() {
    const fetch = yield* signing(path, remote)
    const keys: Array<string> = []
    let token: string | undefined
    do {
      const query = new URLSearchParams({ "list-type": "2", "encoding-type": "url", prefix, ...(token === undefined ? {} : { "continuation-token": token }) })
      const url = `${bucketUrl(bucket, remote.environment)}/?${query.toString().replaceAll("+", "%20")}`
      const request = () => fetch(new Request(url, { signal: AbortSignal.timeout(remote.timeout) }))
      const read = async (response: Response) => {
        if (!response.ok) throw statusError(path, response.status)
        return parseListing(await response.text())
      }
      const page = yield* Effect.tryPromise({
        try: () => withRetries(path, remote, request, read),
        catch: (cause) => cause instanceof SourceError ? cause : failing(path)("network", `the listing cannot be read (${String(cause)})`, "check the endpoint")
      })
      keys.push(...page.keys)
      token = page.next
    } while (token !== undefined)
    return keys.sort()
  })

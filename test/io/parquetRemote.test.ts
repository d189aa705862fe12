/** Parquet over HTTP and from an S3-like store, well and badly served. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet, Remote } from "../../src/io/index.ts"
import { digestFile } from "./parquetDigest.ts"
import { s3Bucket, sendRange, serve } from "./remoteServers.ts"

const fixture = (name: string) => join(import.meta.dirname, "fixtures", `${name}.parquet`)
const small = readFileSync(fixture("many-row-groups"))
// Larger than the end of the file that is fetched at once.
const large = readFileSync(join(import.meta.dirname, "fixtures", "parquet-testing", "data", "lz4_raw_compressed_larger.parquet"))

const patient = { fetch: (request: Request) => fetch(request), retries: 3, backoff: 1, timeout: 2000, windowBytes: 1 << 20, environment: {} }
const remotely = <A, E, R>(effect: Effect.Effect<A, E, R>, settings: Partial<typeof patient> & { readonly environment?: Record<string, string> } = {}) =>
  Effect.provideService(effect, Remote, { ...patient, ...settings })

const refusal = (url: string) => remotely(Effect.flip(digestFile(url)))

describe("http", () => {
  it.effect("a file reads as on disk, a column chunk in one request", () =>
    Effect.scoped(Effect.gen(function*() {
      const { requests, url } = yield* serve((request, response) => sendRange(request, response, large, "\"a\""))
      const address = `${url}/corpus.parquet`
      assert.deepStrictEqual(yield* remotely(digestFile(address)), yield* digestFile(join(import.meta.dirname, "fixtures/parquet-testing/data/lz4_raw_compressed_larger.parquet")))
      assert.deepStrictEqual(requests.slice(0, 1), ["bytes=-65536"])
      assert.isAtMost(requests.length, 2)
    })))
  it.effect("texts come from a URL like from a path, and only the column asked for is fetched", () =>
    Effect.scoped(Effect.gen(function*() {
      const bytes = readFileSync(fixture("written/pyarrow-none"))
      const { requests, url } = yield* serve((request, response) => sendRange(request, response, bytes, "\"a\""))
      const texts = yield* remotely(Stream.runCollect(Parquet.read(`${url}/x.parquet`, { column: "meta.text", nulls: "skip" })))
      assert.deepStrictEqual(texts, yield* Stream.runCollect(Parquet.read(fixture("written/pyarrow-none"), { column: "meta.text", nulls: "skip" })))
      assert.isAtMost(requests.length, 2)
    })))
  it.effect("no ranges, no file, no access, nothing in it", () =>
    Effect.scoped(Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [Parameters<typeof serve>[0], Parquet.ParquetError["reason"], RegExp]> = [
        [(_, response) => response.writeHead(200).end(small), "remote", /does not answer Range requests/],
        [(_, response) => response.writeHead(404).end(), "noFiles", /HTTP 404/],
        [(_, response) => response.writeHead(403).end(), "remote", /access is denied \(HTTP 403\)/],
        [(request, response) => sendRange(request, response, new Uint8Array(), "\"a\""), "emptyFile", /0 bytes/],
        [(_, response) => response.writeHead(503).end(), "remote", /HTTP 503, after 4 tries/],
        [(request) => request.socket.destroy(), "remote", /after 4 tries/]
      ]
      for (const [answer, reason, message] of cases) {
        const { url } = yield* serve(answer)
        const error = yield* refusal(`${url}/x.parquet`)
        assert.strictEqual(error.reason, reason, error.message)
        assert.match(error.message, message)
        assert.include(error.message, url)
      }
    })))
  it.effect("a server's fault that passes, and a body that ends early, are tried again", () =>
    Effect.scoped(Effect.gen(function*() {
      const { requests, url } = yield* serve((request, response, count) => {
        if (count % 3 === 0) return void response.writeHead(503).end()
        if (count % 3 === 2) return sendRange(request, response, small, "\"a\"")
        response.writeHead(206, { etag: "\"a\"", "content-range": `bytes 0-${small.length - 1}/${small.length}`, "content-length": small.length })
        response.write(small.subarray(0, 10))
        setTimeout(() => response.destroy(), 5)
      })
      assert.strictEqual((yield* remotely(digestFile(`${url}/x.parquet`))).rows, 100)
      assert.strictEqual(requests.length, 3)
    })))
  it.effect("a file that changes while it is read is refused: by its ETag, by If-Range, by its size", () =>
    Effect.scoped(Effect.gen(function*() {
      const changed: ReadonlyArray<Parameters<typeof serve>[0]> = [
        (request, response, count) => sendRange(request, response, large, count === 0 ? "\"a\"" : "\"b\""),
        (request, response, count) => sendRange({ headers: { range: request.headers.range } } as typeof request, response, large, `W/"${count}"`),
        (request, response, count) => sendRange(request, response, count === 0 ? large : large.subarray(0, -1), "\"a\"")
      ]
      for (const answer of changed) {
        const { url } = yield* serve(answer)
        const error = yield* refusal(`${url}/x.parquet`)
        assert.strictEqual(error.reason, "changed")
        assert.deepInclude({ ...error }, { rowGroup: 0, file: `${url}/x.parquet` })
      }
    })))
  it.effect("a server without ranges from the end is asked for its size first", () =>
    Effect.scoped(Effect.gen(function*() {
      const { url } = yield* serve((request, response) =>
        request.headers.range?.startsWith("bytes=-") ? void response.writeHead(416).end() : sendRange(request, response, small, "\"a\""))
      assert.strictEqual((yield* remotely(digestFile(`${url}/x.parquet`))).rows, 100)
    })))
})

describe("s3", () => {
  const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
  const objects = {
    "train/a.parquet": small,
    "train/deep/b c+d.parquet": small,
    "train/deep/é.parquet": small,
    "train/_temporary/x.parquet": small,
    "train/notes.txt": new Uint8Array(3),
    "other/z.parquet": small
  }
  const environment = (url: string, key = secret) => ({ AWS_ENDPOINT_URL: url, AWS_REGION: "eu-central-1", AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: key })

  it.effect("signed requests list and read what a pattern, a prefix or a key names", () =>
    Effect.scoped(Effect.gen(function*() {
      const { url } = yield* s3Bucket(objects, secret)
      const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
        ["s3://corpus/train/**/*.parquet", ["train/_temporary/x.parquet", "train/a.parquet", "train/deep/b c+d.parquet", "train/deep/é.parquet"]],
        ["s3://corpus/train/*.parquet", ["train/a.parquet"]],
        ["s3://corpus/train", ["train/a.parquet", "train/deep/b c+d.parquet", "train/deep/é.parquet"]],
        ["s3://corpus/{other/z,train/a}.parquet", ["other/z.parquet", "train/a.parquet"]],
        ["s3://corpus/other/z.parquet", ["other/z.parquet"]]
      ]
      for (const [pattern, keys] of cases) {
        const found = yield* remotely(Parquet.files(pattern), { environment: environment(url) })
        assert.deepStrictEqual(found, keys.map((key) => `s3://corpus/${key}`), pattern)
      }
      const texts = yield* remotely(Stream.runCollect(Parquet.read("s3://corpus/train/deep", { column: "text" })), { environment: environment(url) })
      assert.strictEqual(texts.length, 200)
    })))
  it.effect("wrong credentials, none, and a missing key are refused", () =>
    Effect.scoped(Effect.gen(function*() {
      const { url } = yield* s3Bucket(objects, secret)
      const wrong = yield* remotely(Effect.flip(Parquet.files("s3://corpus/train")), { environment: environment(url, "wrong") })
      assert.deepInclude({ ...wrong }, { reason: "remote", detail: "access is denied (HTTP 403)" })
      const none = yield* remotely(Effect.flip(Parquet.files("s3://corpus/train")), { environment: { AWS_ENDPOINT_URL: url } })
      assert.strictEqual(none.reason, "remote")
      const missing = yield* remotely(Effect.flip(Parquet.files("s3://corpus/nothing")), { environment: environment(url) })
      assert.strictEqual(missing.reason, "noFiles")
    })))
})

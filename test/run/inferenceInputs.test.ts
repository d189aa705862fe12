/** What an inference reads: token ids, several columns, fields of structs, files behind http(s) and in a store. */
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet, Remote } from "../../src/io/index.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import * as Inference from "../../src/run/inference/index.ts"
import { nameInputs } from "../../src/run/inference/inputs.ts"
import { s3Bucket, sendRange, serve } from "../io/remoteServers.ts"
import { inFolder } from "../io/support.ts"
import { testEngine } from "../support/backend.ts"
import { partsOf } from "../support/killing.ts"
import { tinyPrompt, writePrompts, writeTinyCheckpoint } from "../support/tinyCheckpoint.ts"

type Change = Partial<Inference.InferenceRequest>

const fixture = (name: string) => join(import.meta.dirname, "..", "io", "fixtures", `${name}.parquet`)

const prepared = <A, E, R>(body: (folder: string, request: (output: string, change: Change) => Inference.InferenceRequest) => Effect.Effect<A, E, R>) =>
  inFolder((folder) =>
    Effect.flatMap(writeTinyCheckpoint(folder), (checkpoint) =>
      body(folder, (output, change) => ({ task: "encode", pool: "mean", checkpoint, output: join(folder, output), ...change }))))

const run = (request: Inference.InferenceRequest) =>
  Effect.gen(function*() {
    const inference = yield* Inference.open(request)
    const summary = yield* Effect.flatMap(Inference.shareOf(inference), (share) => Inference.runShard(inference, share)).pipe(Effect.provide(inference.layer))
    const rows = yield* Stream.runCollect(Stream.map(Parquet.readRows(request.output), ({ values }) => values))
    return { summary, rows }
  })

const values = (rows: ReadonlyArray<Readonly<Record<string, unknown>>>, ...columns: ReadonlyArray<string>) => rows.map((row) => columns.map((column) => row[column]))

layer(testEngine)("input of an inference", (it) => {
  it.effect("lists of token ids skip the tokenizer and give what their texts give; several columns are joined", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        const texts = Array.from({ length: 23 }, (_, i) => ({ left: tinyPrompt(i), right: tinyPrompt(100 + i) }))
        const [left, right] = yield* Effect.flatMap(Tokenizer, ({ encodeBatch }) =>
          Effect.all([encodeBatch(texts.map((row) => row.left)), encodeBatch(texts.map((row) => row.right))])).pipe(Effect.provide(Tokenizer.layer))
        const input = join(folder, "in.parquet")
        yield* Stream.fromIterable(texts.map((row, i) => ({ ...row, both: `${row.left} ${row.right}`, ids: left[i]!, more: right[i]! }))).pipe(
          Parquet.write(input, { schema: { left: "string", right: "string", both: "string", ids: "list<int32>", more: "list<int32>" }, rowGroupSize: 9 }),
          Stream.runDrain
        )
        const encode = (output: string, column: string | ReadonlyArray<string>, change: Change = {}) => run(request(output, { input, column, columns: [], ...change }))
        const byText = yield* encode("text", "left")
        const byIds = yield* encode("ids", "ids")
        assert.deepStrictEqual(byIds.rows, byText.rows)
        assert.deepStrictEqual(byIds.rows.map(({ tokens }) => tokens), left.map((ids) => Math.min(16, ids.length)))
        assert.deepStrictEqual((yield* encode("columns", ["left", "right"])).rows, (yield* encode("both", "both")).rows)
        assert.deepStrictEqual((yield* encode("both-ids", ["ids", "more"])).rows, (yield* encode("both", "both")).rows)
        const scores = yield* encode("scores", "ids", { task: "score", draws: 1 })
        assert.isTrue(scores.rows.every(({ denoiserLoss }) => Number(denoiserLoss) > 0))
        const answers = yield* encode("answers", "ids", { task: "sample", columns: ["left"] })
        assert.deepStrictEqual(values(answers.rows, "left"), texts.map((row) => [row.left]))
        assert.isAbove(new Set(answers.rows.map(({ answer }) => answer)).size, 15)
        const refused = (column: string | ReadonlyArray<string>) => Effect.map(Effect.flip(Inference.open(request("refused", { input, column }))), ({ message }) => message)
        assert.include(yield* refused(["left", "ids"]), "not text")
        assert.include(yield* refused(["ids", "left"]), "not lists of whole numbers")
      })), 60_000)

  it.effect("a list with what is no token id is a row without a result, named and passed over like a null", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        const input = join(folder, "odd.parquet")
        yield* Stream.fromIterable([[5, 6], [7, 40_000], null, [-1], []].map((ids) => ({ ids }))).pipe(
          Parquet.write(input, { schema: { ids: "list<int32>?" } }),
          Stream.runDrain
        )
        const odd = (output: string, change: Change) => run(request(output, { input, column: "ids", ...change }))
        const error = yield* Effect.flip(odd("fail", {}))
        assert.match(error.message, /odd\.parquet \(row group 0, row 1, column "ids"\): the list holds 40000, which is no token id below 32100/)
        const { rows, summary } = yield* odd("quarantine", { onError: "quarantine" })
        assert.deepStrictEqual(rows.map(({ tokens }) => tokens), [2, null, null, null, 0])
        assert.strictEqual(summary.failedRows, 3)
        const lines = readFileSync(join(folder, "quarantine", "_odd.00000.quarantine.jsonl"), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as { row: number; error: string })
        assert.deepStrictEqual(lines.map(({ row }) => row), [1, 2, 3])
        assert.include(lines[2]!.error, "the list holds -1")
      })), 60_000)

  it.effect("a field of a struct by its path; the part carries the struct", () =>
    prepared((_, request) =>
      Effect.gen(function*() {
        const { rows, summary } = yield* run(request("out", { input: fixture("written/pyarrow-none"), column: "meta.text", columns: ["meta"], onError: "skip" }))
        const texts = rows.map(({ meta }) => (meta as { readonly text: string | null } | null)?.text ?? null)
        const ids = yield* Effect.flatMap(Tokenizer, ({ encodeBatch }) => encodeBatch(texts.map((text) => text ?? ""))).pipe(Effect.provide(Tokenizer.layer))
        assert.isAbove(texts.filter((text) => text !== null).length, 1)
        assert.deepStrictEqual(rows.map(({ tokens }) => tokens), texts.map((text, i) => text === null ? null : Math.min(16, ids[i]!.length)))
        assert.strictEqual(summary.failedRows, texts.filter((text) => text === null).length)
      })), 60_000)

  it.effect("a page whose checksum does not fit is passed over with its row group", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        const [original, input] = [fixture("written/pyarrow-plain"), join(folder, "in", "damaged.parquet")]
        mkdirSync(join(folder, "in"))
        writeFileSync(join(folder, "in", "whole.parquet"), readFileSync(original))
        const { chunk, rows: all } = yield* Effect.scoped(Effect.map(Parquet.open(original), ({ metadata, rows }) =>
          ({ rows, chunk: metadata.row_groups[0]!.columns.find(({ meta_data }) => meta_data!.path_in_schema.join(".") === "text")!.meta_data! })))
        const bytes = readFileSync(original)
        const last = Number(chunk.data_page_offset) + Number(chunk.total_compressed_size) - 1
        bytes[last] = bytes[last]! ^ 1
        writeFileSync(input, bytes)
        const damaged = (change: Change) => run(request("out", { input: join(folder, "in"), column: "text", ...change }))
        assert.match((yield* Effect.flip(damaged({ onError: "fail" }))).message, /damaged\.parquet \(row group 0, column "text"\): page 0: the checksum/)
        const { rows, summary } = yield* damaged({ onError: "skip" })
        assert.deepStrictEqual(summary.passedOver.map(({ input: name, rowGroup }) => [name, rowGroup]), [["damaged.parquet", 0]])
        assert.strictEqual(rows.length, all)
      })), 60_000)

  it.effect("http(s) and s3:// give the parts that a folder gives, byte for byte; what has changed there is refused", () =>
    prepared((folder, request) =>
      Effect.scoped(Effect.gen(function*() {
        yield* writePrompts(join(folder, "in", "a.parquet"), 30, 10)
        yield* writePrompts(join(folder, "in", "deep", "b.parquet"), 25, 10, 30)
        const names = ["a.parquet", "deep/b.parquet"]
        const objects = Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, "in", name))]))
        const local = request("local", { task: "sample", input: join(folder, "in"), column: "prompt" })
        yield* run(local)
        const expected = partsOf(local.output)
        assert.strictEqual(Object.keys(expected).length, 6)

        let etag = "\"1\""
        const { requests, url } = yield* serve((message, response) => sendRange(message, response, objects[message.url!.slice(1).replace(/\?.*/, "")]!, etag))
        const settings = { fetch: (message: Request) => fetch(message), retries: 2, backoff: 1, timeout: 5000, windowBytes: 1 << 20, environment: {} }
        const remotely = <A, E, R>(effect: Effect.Effect<A, E, R>, environment: Record<string, string> = {}) => Effect.provideService(effect, Remote, { ...settings, environment })
        const http = (signature: string) => request("http", { task: "sample", column: "prompt", input: names.map((name) => `${url}/${name}?signature=${signature}`) })
        yield* remotely(run(http("today")))
        assert.deepStrictEqual(partsOf(http("").output), expected)
        assert.isTrue(requests.every((range) => range.startsWith("bytes=")), "ranges only")
        const asked = requests.length
        const again = yield* remotely(run(http("tomorrow")))
        assert.include(again.summary, { units: 0, resumed: 6 })
        assert.isAtMost(requests.length - asked, 6, "unchanged: nothing but the ends of the files is looked at")
        etag = "\"2\""
        assert.include((yield* remotely(run(http("touched")))).summary, { units: 0, resumed: 6 })
        objects["a.parquet"] = objects["deep/b.parquet"]!
        assert.include((yield* Effect.flip(remotely(run(http("changed"))))).message, "a.parquet has changed")
        objects["a.parquet"] = readFileSync(join(folder, "in", "a.parquet"))

        const bucket = yield* s3Bucket(Object.fromEntries(names.map((name) => [`prompts/${name}`, objects[name]!])), "secret")
        const s3 = request("s3", { task: "sample", column: "prompt", input: "s3://corpus/prompts" })
        yield* remotely(run(s3), { AWS_ENDPOINT_URL: bucket.url, AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" })
        assert.deepStrictEqual(partsOf(s3.output), expected)
      }))), 60_000)

  it.effect("names follow from where files lie to each other; what would not name a part is refused", () =>
    Effect.gen(function*() {
      const names = (...addresses: ReadonlyArray<string>) => Effect.map(nameInputs(addresses), (found) => [...found.keys()])
      assert.deepStrictEqual(yield* names("/data/a.parquet"), ["a.parquet"])
      assert.deepStrictEqual(yield* names("/data/x/a.parquet", "/data/x/y/a.parquet", "/data/z/b.parquet"), ["x/a.parquet", "x/y/a.parquet", "z/b.parquet"])
      assert.deepStrictEqual(yield* names("https://host/d/a.parquet?X-Sig=1", "https://host/d/e/b.parquet"), ["a.parquet", "e/b.parquet"])
      assert.deepStrictEqual(yield* names("https://one/a.parquet", "https://two/a.parquet"), ["one/a.parquet", "two/a.parquet"])
      assert.deepStrictEqual(yield* names("s3://bucket/k=1/p.parquet", "s3://bucket/k=2/p.parquet"), ["k=1/p.parquet", "k=2/p.parquet"])
      for (const [addresses, words] of [
        [["s3://b/x/../p.parquet", "s3://b/q.parquet"], "no part can be named"],
        [["https://h/f?id=1", "https://h/f?id=2"], "another input file is called"],
        [["/data/a.parquet", "s3://b/a.parquet"], "some input files are on disk"],
        [["https://h/"], "no part can be named"]
      ] as const) {
        assert.include((yield* Effect.flip(nameInputs(addresses))).message, words)
      }
    }))
})

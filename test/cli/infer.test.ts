import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { parseShard } from "../../src/cli/shardOption.ts"
import { inFolder, numbers } from "../io/support.ts"
import { inferKilled, partsOf } from "../support/killing.ts"
import { tinyPrompt, writePrompts, writeTinyCheckpoint } from "../support/tinyCheckpoint.ts"
import { elf } from "./process.ts"
import { tinyFolder, writeRunFile } from "./tinyRun.ts"

const run = (...arguments_: ReadonlyArray<string>) => Effect.promise(() => elf(arguments_))

/** A folder with a checkpoint and a file of `rows` prompts; `infer` takes what comes behind these. */
const prepared = <A, E, R>(rows: number, rowGroupSize: number, body: (folder: string, infer: (output: string) => ReadonlyArray<string>) => Effect.Effect<A, E, R>) =>
  inFolder((folder) =>
    Effect.gen(function*() {
      const checkpoint = yield* writeTinyCheckpoint(folder)
      const input = join(folder, "prompts.parquet")
      yield* writePrompts(input, rows, rowGroupSize)
      return yield* body(folder, (output) => ["--checkpoint", checkpoint, "--input", input, "--column", "prompt", "--output", join(folder, output)])
    }))

const events = (stdout: string) =>
  stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as Readonly<Record<string, unknown>> & { readonly event: string })

describe("elf sample", () => {
  it.effect("the same seed gives the same texts, another seed others", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const { code, stderr } = yield* run("train", yield* writeRunFile(folder, "run.json", { optimizer: { steps: 2 } }))
      assert.strictEqual(code, 0, stderr)
      const sample = (seed: string) => Effect.map(run("sample", "--checkpoint", join(folder, "run"), "--count", "3", "--seed", seed, "--json"), ({ stdout }) =>
        (JSON.parse(stdout) as { texts: ReadonlyArray<string> }).texts)
      const texts = yield* sample("5")
      assert.strictEqual(texts.length, 3)
      assert.deepStrictEqual(yield* sample("5"), texts)
      assert.notDeepEqual(yield* sample("6"), texts)
    })), 90_000)
})

/** A collector of OpenTelemetry spans. */
const collector = Effect.acquireRelease(
  Effect.promise(() =>
    new Promise<{ readonly url: string; readonly spans: Array<Span>; readonly close: () => void }>((resolve) => {
      const spans: Array<Span> = []
      const server = createServer((request: IncomingMessage, response) => {
        let body = ""
        request.on("data", (chunk: Buffer) => (body += chunk.toString()))
        request.on("end", () => {
          if (request.url === "/v1/traces") spans.push(...(JSON.parse(body) as Traces).resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)))
          response.end("{}")
        })
      })
      server.listen(0, "127.0.0.1", () => resolve({ spans, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() }))
    })),
  ({ close }) => Effect.sync(close)
)

interface Span {
  readonly name: string
  readonly traceId: string
  readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: Readonly<Record<string, unknown>> }>
}

interface Traces {
  readonly resourceSpans: ReadonlyArray<{ readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Span> }> }>
}

describe("elf infer", () => {
  it.effect("shards that schedulers number, events for programs, spans for collectors", () =>
    prepared(40, 10, (folder, infer) =>
      Effect.scoped(Effect.gen(function*() {
        const { spans, url } = yield* collector
        const environment = { AWS_BATCH_JOB_ARRAY_INDEX: "1", OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }
        const { code, stderr, stdout } = yield* Effect.promise(() => elf(["infer", ...infer("out"), "--shard", "auto/2", "--json"], { environment }))
        assert.strictEqual(code, 0, stderr)
        const told = events(stdout)
        assert.deepStrictEqual(told.map(({ event }) => event), ["start", "unitStarted", "unitFinished", "unitStarted", "unitFinished", "progress", "summary"])
        assert.deepInclude(told[0], { rowGroups: 2, pending: 2, shard: { index: 1, count: 2 } })
        assert.deepInclude(told.at(-2), { rows: 20, totalRows: 20, rowGroups: 2, errors: 0 })
        assert.deepInclude(told.at(-1), { units: 2, rows: 20, total: 4, open: 2 })
        const units = spans.filter(({ name }) => name === "inference.unit")
        const attribute = (span: Span, key: string) => Object.values(span.attributes.find((each) => each.key === key)?.value ?? {})[0]
        assert.deepStrictEqual(units.map((span) => attribute(span, "elf.part")).sort(), ["prompts.00001.parquet", "prompts.00003.parquet"])
        assert.deepStrictEqual(units.map((span) => Number(attribute(span, "elf.rows"))), [10, 10])
        assert.strictEqual(new Set([...units, ...spans.filter(({ name }) => name === "inference")].map(({ traceId }) => traceId)).size, 1)

        const other = yield* run("infer", ...infer("out"), "--shard", "0/2")
        assert.strictEqual(other.code, 0, other.stderr)
        assert.include(other.stdout, "is complete: 4 parts")
        assert.match(other.stderr, /rows 20\/20 {2}row groups 2\/2 {2}[\d.,]+ rows\/s {2}[\d.,]+ tokens\/s {2}ETA 0:00 {2}padding [\d.]+ %/)
        const rows = yield* Stream.runCollect(Stream.map(Parquet.readRows(join(folder, "out")), ({ values }) => values))
        assert.deepStrictEqual(rows.map(({ id, prompt }) => [id, prompt]), Array.from({ length: 40 }, (_, i) => [i, tinyPrompt(i)]))
        const parts = yield* run("parts", join(folder, "out"), "--verify", "--json")
        assert.deepInclude(JSON.parse(parts.stdout), { total: 4, open: [], damaged: [], rows: 40 })
      }))), 60_000)

  it.effect("a share is i of n, or what the scheduler says", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* parseShard("2/8", {}), { index: 2, count: 8 })
      assert.deepStrictEqual(yield* parseShard("auto/8", { JOB_COMPLETION_INDEX: "7" }), { index: 7, count: 8 })
      assert.deepStrictEqual(yield* parseShard("auto/8", { AWS_BATCH_JOB_ARRAY_INDEX: "0" }), { index: 0, count: 8 })
      for (const [given, words] of [["8/8", "no share 8 of 8"], ["auto/8", "JOB_COMPLETION_INDEX"], ["1", "no share"], ["-1/2", "no share"], ["0/0", "no share"], ["1/2/3", "no share"]] as const) {
        assert.include((yield* Effect.flip(parseShard(given, {}))).message, words)
      }
    }))

  it.effect("an interruption exits with 130 and leaves nothing unfinished", () =>
    prepared(20_000, 10_000, (folder, infer) =>
      Effect.gen(function*() {
        const { code } = yield* Effect.promise(() => elf(["infer", ...infer("out"), "--json"], { interruptAt: "engine:", interruptAfter: 2500 }))
        assert.strictEqual(code, 130)
        const names = existsSync(join(folder, "out")) ? readdirSync(join(folder, "out")) : []
        assert.deepStrictEqual(names.filter((name) => name.endsWith(".partial")), [])
      })), 60_000)

  it.effect("killed anywhere and started again, it ends with the parts of one that was not", () =>
    prepared(1500, 150, (folder, infer) =>
      Effect.gen(function*() {
        const whole = yield* Effect.promise(() => inferKilled([...infer("whole"), "--steps", "4"], 1e6))
        assert.strictEqual(whole.code, 0, whole.stderr)
        const reference = partsOf(join(folder, "whole"))
        const random = numbers(20261124)
        const finished: Array<string> = []
        let kills = 0
        for (let attempts = 0; attempts < 40; attempts++) {
          const attempt = yield* Effect.promise(() => inferKilled([...infer("killed"), "--steps", "4"], kills < 8 ? random(500) : 1e6))
          finished.push(...attempt.finished)
          if (attempt.killed) kills++
          else {
            assert.strictEqual(attempt.code, 0, attempt.stderr)
            break
          }
        }
        assert.isAtLeast(kills, 3, "the process was killed often enough to tell")
        assert.deepStrictEqual(partsOf(join(folder, "killed")), reference)
        assert.strictEqual(new Set(finished).size, finished.length, "what was reported as finished was not done again")
      })), 90_000)
})

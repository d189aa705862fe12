/** Units of work: the same parts whatever the layout, nothing lost, nothing done twice, changes noticed. */
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import * as Inference from "../../src/run/inference/index.ts"
import { inFolder } from "../io/support.ts"
import { testEngine } from "../support/backend.ts"
import { tinyPrompt, writePrompts, writeTinyCheckpoint } from "../support/tinyCheckpoint.ts"

type Change = Partial<Inference.InferenceRequest>

/** A folder with a checkpoint and two input files of three row groups each: 30 rows and 25 rows. */
const prepared = <A, E, R>(body: (folder: string, request: (change?: Change) => Inference.InferenceRequest) => Effect.Effect<A, E, R>) =>
  inFolder((folder) =>
    Effect.gen(function*() {
      const checkpoint = yield* writeTinyCheckpoint(folder)
      yield* writePrompts(join(folder, "in", "a.parquet"), 30, 10)
      yield* writePrompts(join(folder, "in", "deep", "b.parquet"), 25, 10, 30)
      return yield* body(folder, (change = {}) => ({ task: "sample", checkpoint, input: join(folder, "in"), column: "prompt", output: join(folder, "out"), ...change }))
    }))

const runShare = (request: Inference.InferenceRequest, shard?: Inference.Shard, tell?: Inference.Tell) =>
  Effect.gen(function*() {
    const inference = yield* Inference.open(request)
    const share = yield* Inference.shareOf(inference, shard)
    return yield* Inference.runShard(inference, share, shard, tell).pipe(Effect.provide(inference.layer))
  })

/** Every file below a folder but the books, by its path, as a sha256. */
const parts = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((path) => !path.startsWith("_inference") && statSync(join(folder, path)).isFile())
      .sort()
      .map((path) => [path, createHash("sha256").update(readFileSync(join(folder, path))).digest("hex")])
  )

const rowsIn = (folder: string) => Stream.runCollect(Stream.map(Parquet.readRows(folder), ({ values }) => values))

/** A file that begins with 70 kB of something else, so that a text behind it is no part of what the footer or the head say. */
const writeFar = (path: string, text: string) =>
  Stream.make({ filler: "x".repeat(70_000), prompt: "a" }, { filler: "y", prompt: text }, { filler: "y", prompt: "z" }).pipe(
    Parquet.write(path, { schema: { filler: "string", prompt: "string" }, codec: "uncompressed" }),
    Stream.runDrain
  )

/** The largest difference between two columns of numbers, or of lists of them. */
const distance = (rows: ReadonlyArray<Readonly<Record<string, unknown>>>, others: typeof rows, column: string): number => {
  const flat = (of: typeof rows) => of.flatMap((row) => row[column] as number | ReadonlyArray<number>)
  const there = flat(others)
  return Math.max(...flat(rows).map((value, i) => Math.abs(value - there[i]!)))
}

layer(testEngine)("batch inference", (it) => {
  it.effect("a part for each row group: the input's columns, the answer, its tokens and the seed, in order", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        const summary = yield* runShare(request({ change: { seed: 11 } }))
        assert.include(summary, { units: 6, rows: 55, failedRows: 0, open: 0, total: 6 })
        assert.deepStrictEqual(Object.keys(parts(request().output)), [
          "a.00000.parquet", "a.00001.parquet", "a.00002.parquet",
          "deep/b.00000.parquet", "deep/b.00001.parquet", "deep/b.00002.parquet"
        ])
        const rows = yield* rowsIn(request().output)
        assert.deepStrictEqual(rows.map(({ id }) => id), Array.from({ length: 55 }, (_, i) => i))
        assert.deepStrictEqual(Object.keys(rows[0]!), ["id", "prompt", "answer", "tokens", "seed"])
        assert.deepStrictEqual(rows.map(({ prompt }) => prompt), Array.from({ length: 55 }, (_, i) => tinyPrompt(i)))
        assert.isTrue(rows.every(({ answer, seed, tokens }) => typeof answer === "string" && Number(tokens) <= 16 && seed === 11n))
        assert.isAbove(new Set(rows.map(({ answer }) => answer)).size, 40)
        const { metadata } = yield* Effect.scoped(Parquet.open(join(folder, "out", "a.00001.parquet")))
        const pairs = Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value]))
        assert.include(pairs, { "elf-streams.task": "sample", "elf-streams.input": "a.parquet", "elf-streams.rowGroup": "1", "elf-streams.firstRow": "10" })
        assert.match(pairs["elf-streams.configuration"]!, /^[0-9a-f]{64}$/)
        assert.match(pairs["elf-streams.model"]!, /step 1, sha256:[0-9a-f]{64}$/)
      })), 60_000)

  it.effect("batch size, shards, their order and their number change no byte", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        yield* runShare(request())
        const reference = parts(request().output)
        for (const batchSize of [1, 7, 64]) {
          const other = request({ batchSize, output: join(folder, `batch-${batchSize}`) })
          yield* runShare(other)
          assert.deepStrictEqual(parts(other.output), reference, `batches of ${batchSize}`)
        }
        const sharded = request({ output: join(folder, "sharded") })
        for (const index of [2, 0, 1]) yield* runShare(sharded, { index, count: 3 })
        assert.deepStrictEqual(parts(sharded.output), reference)
        const status = yield* Inference.status(sharded.output, { verify: true })
        assert.deepInclude(status, { total: 6, open: [], damaged: [], rows: 55 })
        assert.deepStrictEqual(status.writers.map(({ name, units }) => [name, units]), [["shard-0-of-3", 2], ["shard-1-of-3", 2], ["shard-2-of-3", 2]])
      })), 60_000)

  it.effect("an answer depends on the file's contents, not on its name or its place", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        yield* runShare(request())
        mkdirSync(join(folder, "moved"))
        writeFileSync(join(folder, "moved", "renamed.parquet"), readFileSync(join(folder, "in", "a.parquet")))
        const moved = request({ input: join(folder, "moved"), output: join(folder, "out-moved") })
        yield* runShare(moved)
        const [answers, again] = [yield* rowsIn(request().output), yield* rowsIn(moved.output)]
        assert.deepStrictEqual(again, answers.slice(0, 30))
      })), 60_000)

  it.effect("what is done is not done again; a part that vanished is", () =>
    prepared((_, request) =>
      Effect.gen(function*() {
        yield* runShare(request(), { index: 0, count: 2 })
        const rest = yield* runShare(request())
        assert.include(rest, { units: 3, resumed: 3, open: 0 })
        const reference = parts(request().output)
        assert.include(yield* runShare(request()), { units: 0, resumed: 6 })
        rmSync(join(request().output, "a.00001.parquet"))
        assert.deepStrictEqual((yield* Inference.status(request().output)).damaged, ["a.00001.parquet"])
        assert.include(yield* runShare(request()), { units: 1, rows: 10 })
        assert.deepStrictEqual(parts(request().output), reference)
      })), 60_000)

  it.effect("a changed setting, model or input is refused, --fresh starts over", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        yield* runShare(request())
        const refused = (change: Change) => Effect.map(Effect.flip(Inference.open(request(change))), (error) => error.message)
        assert.include(yield* refused({ change: { steps: 3 } }), "sampler.steps was 2, is 3")
        assert.include(yield* refused({ columns: ["id"] }), "columns was")
        assert.include(yield* refused({ task: "encode" }), "task was")
        yield* writePrompts(join(folder, "in", "c.parquet"), 3, 3)
        assert.include(yield* refused({}), "c.parquet is new")
        rmSync(join(folder, "in", "c.parquet"))
        yield* writeTinyCheckpoint(folder, 2)
        assert.include(yield* refused({}), "step 2")
        const again = yield* runShare(request({ fresh: true }))
        assert.include(again, { units: 6, resumed: 0 })
        assert.strictEqual(Object.keys(parts(request().output)).length, 6)
      })), 60_000)

  it.effect("a text that changed without a trace in head or footer is noticed by the columns' own digest", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        const input = join(folder, "far.parquet")
        const far = request({ input, columns: [] })
        // Statistics hold the least and the greatest text, so the one that changes lies between.
        yield* writeFar(input, "mild winters")
        yield* runShare(far)
        utimesSync(input, new Date(), new Date())
        assert.include(yield* runShare(far), { units: 0, resumed: 1 }, "touched is not changed")
        const bytes = readFileSync(input)
        bytes[bytes.indexOf("mild winters")] = 0x77
        writeFileSync(input, bytes)
        const error = yield* Effect.flip(runShare(far))
        assert.match(error.message, /far\.parquet: row group 0 has changed since/)
      })), 60_000)

  it.effect("null rows: fail names the row; skip keeps it without an answer; quarantine writes it down", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        const input = join(folder, "nulls.parquet")
        yield* Stream.fromIterable([{ text: "peace" }, { text: null }, { text: "storms" }]).pipe(Parquet.write(input, { schema: { text: "string?" } }), Stream.runDrain)
        const nulls = (change: Change) => request({ input, column: "text", ...change })
        const error = yield* Effect.flip(runShare(nulls({})))
        assert.match(error.message, /nulls\.parquet \(row group 0, row 1, column "text"\): the value is null/)
        const told: Array<Inference.InferenceEvent> = []
        const summary = yield* runShare(nulls({ onError: "quarantine" }), undefined, (event) => Effect.sync(() => void told.push(event)))
        assert.include(summary, { rows: 3, failedRows: 1 })
        assert.deepStrictEqual(told.filter(({ type }) => type === "problem").length, 1)
        const rows = yield* rowsIn(nulls({}).output)
        assert.deepStrictEqual(rows.map(({ answer, text, tokens }) => [text, answer === null, tokens === null]), [["peace", false, false], [null, true, true], ["storms", false, false]])
        const line = readFileSync(join(folder, "out", "_nulls.00000.quarantine.jsonl"), "utf8")
        assert.deepStrictEqual(JSON.parse(line), { input: "nulls.parquet", rowGroup: 0, row: 1, error: "the value is null" })
      })), 60_000)

  it.effect("a damaged row group and a file that is none: the others are answered, both are counted and written down", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        const path = join(folder, "in", "a.parquet")
        const chunk = (yield* Effect.scoped(Parquet.open(path))).metadata.row_groups[1]!.columns[1]!.meta_data!
        const bytes = readFileSync(path)
        bytes.fill(0xff, Number(chunk.data_page_offset), Number(chunk.data_page_offset) + 40)
        writeFileSync(path, bytes)
        writeFileSync(join(folder, "in", "rubbish.parquet"), "this is no parquet file at all")
        assert.include((yield* Effect.flip(runShare(request()))).message, "rubbish.parquet")
        const summary = yield* runShare(request({ onError: "quarantine" }))
        assert.deepInclude(summary, { units: 6, failedRows: 10, open: 1 })
        assert.deepStrictEqual(summary.passedOver.map(({ input, rowGroup }) => [input, rowGroup]), [["rubbish.parquet", undefined], ["a.parquet", 1]])
        assert.isFalse(existsSync(join(folder, "out", "a.00001.parquet")))
        for (const name of ["_a.00001.quarantine.jsonl", "_rubbish.quarantine.jsonl"]) assert.isTrue(existsSync(join(folder, "out", name)), name)
        const ids = (yield* rowsIn(request().output)).map(({ id }) => Number(id))
        assert.deepStrictEqual(ids, Array.from({ length: 55 }, (_, i) => i).filter((i) => i < 10 || i >= 20))
        const status = yield* Inference.status(request().output)
        assert.deepStrictEqual([status.open, status.passedOver.length, status.failedRows], [[], 2, 10])
      })), 60_000)

  it.effect("encode, score and generate write their own columns; batch size changes latents by rounding at most", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        const tasks: ReadonlyArray<readonly [Change, ReadonlyArray<string>]> = [
          [{ task: "encode", columns: ["id"] }, ["id", "latents", "tokens"]],
          [{ task: "encode", columns: [], pool: "mean" }, ["embedding", "tokens"]],
          [{ task: "score", columns: ["id"], draws: 2 }, ["id", "denoiserLoss", "tokens", "seed"]],
          [{ task: "generate", rows: 20 }, ["answer", "tokens", "seed"]]
        ]
        for (const [i, [change, columns]] of tasks.entries()) {
          const [one, other] = [3, 16].map((batchSize) => request({ ...change, batchSize, output: join(folder, `task-${i}-${batchSize}`) }))
          yield* runShare(one!)
          yield* runShare(other!)
          const [rows, others] = [yield* rowsIn(one!.output), yield* rowsIn(other!.output)]
          const [row] = rows
          assert.deepStrictEqual(Object.keys(row!), columns)
          for (const column of ["latents", "embedding", "denoiserLoss"].filter((name) => name in row!)) {
            assert.isBelow(distance(rows, others, column), 1e-5, column)
          }
          for (const column of ["answer", "tokens"]) assert.deepStrictEqual(others.map((each) => each[column]), rows.map((each) => each[column]))
          yield* runShare({ ...one!, fresh: true }, undefined)
          assert.deepStrictEqual(yield* rowsIn(one!.output), rows, "the same again, bit for bit")
          if ("latents" in row!) assert.strictEqual((row["latents"] as ReadonlyArray<number>).length, 8 * Number(row["tokens"]))
          if ("embedding" in row!) assert.strictEqual((row["embedding"] as ReadonlyArray<number>).length, 8)
          if ("denoiserLoss" in row!) assert.isAbove(Number(row["denoiserLoss"]), 0)
        }
      })), 60_000)

  it.effect("what cannot go well is refused before anything is done", () =>
    prepared((folder, request) =>
      Effect.gen(function*() {
        const refused = (change: Change) => Effect.map(Effect.flip(Inference.open(request(change))), (error) => error.message)
        assert.include(yield* refused({ column: "promt" }), `did you mean "prompt"?`)
        assert.include(yield* refused({ column: "id" }), "not text")
        assert.include(yield* refused({ columns: ["ids"] }), `did you mean "id"?`)
        assert.include(yield* refused({ task: "generate" }), "--rows")
        assert.include(yield* refused({ batchSize: 0 }), "at least 1")
        yield* runShare(request({ output: join(folder, "first") }))
        assert.include(yield* refused({ input: join(folder, "first") }), `a column "answer"`)
        assert.isFalse(existsSync(join(folder, "out")))
      })), 60_000)
})

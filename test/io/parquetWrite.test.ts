import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Stream } from "effect"
import fc from "fast-check"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { check } from "../support/prop.ts"
import { faulty, inFolder, onDisk } from "./support.ts"

const schema = {
  id: "int32",
  big: "int64",
  text: "string",
  note: "string?",
  score: "double?",
  loss: "float",
  right: "boolean",
  ids: "list<int32>",
  words: "list<string>?"
} as const

const unicode = fc.string({ unit: "grapheme" })
const row = fc.record({
  id: fc.integer(),
  big: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  text: unicode,
  note: fc.option(unicode),
  score: fc.option(fc.double()),
  loss: fc.float(),
  right: fc.boolean(),
  ids: fc.array(fc.integer()),
  words: fc.option(fc.array(unicode))
})

const values = (path: string) => Stream.runCollect(Stream.map(Parquet.readRows(path), (one) => one.values))
const write = (path: string, rows: ReadonlyArray<object>, options?: Parquet.WriteOptions) =>
  Stream.fromIterable(rows).pipe(Parquet.write(path, options), Stream.runHead, Effect.map(Option.getOrThrow))

const asRead = (rows: ReadonlyArray<object>) =>
  rows.map((one) => Object.fromEntries(Object.entries(one).map(([k, v]) => [k, ArrayBuffer.isView(v) ? Array.from(v as never) : v])))

describe("write", () => {
  it.effect("what is written is what is read, whatever the rows and the row groups", () =>
    inFolder((folder) =>
      check([fc.array(row, { maxLength: 12 }), fc.integer({ min: 1, max: 5 })], (rows, rowGroupSize) =>
        Effect.gen(function*() {
          const path = join(folder, "rows.parquet")
          const written = yield* write(path, rows, { schema, rowGroupSize })
          assert.deepStrictEqual(written, { path, rows: rows.length, bytes: readFileSync(path).length })
          assert.deepStrictEqual(yield* values(path), asRead(rows))
          const { rowGroups } = yield* Effect.scoped(Parquet.open(path))
          assert.strictEqual(rowGroups.length, Math.ceil(rows.length / rowGroupSize))
        }), { numRuns: 60 })))
  for (const codec of ["uncompressed", "snappy", "gzip", "zstd"] as const) {
    it.effect(`${codec} pages and footer metadata come back`, () =>
      inFolder((folder) =>
        Effect.gen(function*() {
          const path = join(folder, "rows.parquet")
          const rows = Array.from({ length: 50 }, (_, i) => ({ text: `the same text ${i % 3}`, other: "x".repeat(100) }))
          const exit = yield* Effect.exit(write(path, rows, { codec, metadata: { model: "tiny", seed: "7" } }))
          if (codec === "zstd" && !("zstdCompressSync" in process.getBuiltinModule("node:zlib"))) {
            assert.include((yield* Effect.flip(exit)).message, "Node 22.15")
            return
          }
          assert.isTrue(Exit.isSuccess(exit))
          assert.deepStrictEqual(yield* values(path), rows)
          const { metadata } = yield* Effect.scoped(Parquet.open(path))
          assert.deepStrictEqual(metadata.key_value_metadata, [{ key: "model", value: "tiny" }, { key: "seed", value: "7" }])
          assert.strictEqual(metadata.row_groups[0]!.columns[0]!.meta_data!.codec, codec.toUpperCase() as never)
        })))
  }
  it.effect("without a schema the first row decides, by kind and not by value", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "rows.parquet")
        const rows = [{ n: 1, text: "a", ids: Int32Array.of(1, 2) }, { n: 2.5, text: null, ids: Int32Array.of() }]
        yield* write(path, rows)
        assert.deepStrictEqual(yield* values(path), asRead(rows))
        const { columns } = yield* Effect.scoped(Parquet.open(path))
        assert.deepStrictEqual(columns.map(({ type }) => type), ["double", "text", "list of int32"])
      })))
  it.effect("rows that do not fit are refused with their number and column, and no file appears", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "rows.parquet")
        const good = { id: 1, text: "a" }
        const bad: ReadonlyArray<readonly [object, string, string]> = [
          [{ id: 1.5, text: "a" }, "id", "number 1.5"],
          [{ id: 2 ** 31, text: "a" }, "id", "int32"],
          [{ id: 1, text: null }, "text", "null"],
          [{ id: 1 }, "text", "null"],
          [{ id: 1, text: 7 }, "text", "number 7"],
          [{ id: 1, text: "half \ud83d" }, "text", "does not fit the type string"],
          [{ id: 1, text: "a", more: 1 }, "more", "the file has not"]
        ]
        for (const [row, column, words] of bad) {
          const error = yield* Effect.flip(write(path, [good, good, row], { schema: { id: "int32", text: "string" } }))
          assert.deepInclude({ ...error }, { reason: "badRow", row: 2, column, file: path })
          assert.include(error.message, words)
        }
        assert.deepStrictEqual(readdirSync(folder), [])
      })))
  it.effect("a type, a row-group size or a first row that say nothing are refused", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "rows.parquet")
        const rows = [{ text: "a", ids: [] }]
        const cases: ReadonlyArray<readonly [object, RegExp]> = [
          [{ schema: { text: "strin" } }, /"strin" is no column type; use string, int32/],
          [{ schema: { text: "list<string" } }, /no column type/],
          [{ schema: { text: "string" }, rowGroupSize: 0 }, /rowGroupSize is 0/],
          [{}, /column "ids"\): the type of the column cannot be told/]
        ]
        for (const [options, words] of cases) {
          const error = yield* Effect.flip(write(path, rows, options as Parquet.WriteOptions))
          assert.match(error.message, words)
        }
        assert.deepStrictEqual(readdirSync(folder), [])
      })))
  it.effect("no rows make a file with a schema, and an error without", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "rows.parquet")
        assert.include((yield* Effect.flip(write(path, []))).message, "schema")
        assert.strictEqual((yield* write(path, [], { schema: { text: "string" } })).rows, 0)
        assert.deepStrictEqual(yield* values(path), [])
      })))
})

describe("whole or not at all", () => {
  it.effect("an error of the upstream passes through and leaves the old file and nothing else", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "rows.parquet")
        writeFileSync(path, "old")
        const rows = Stream.concat(Stream.make({ text: "a" }, { text: "b" }), Stream.fail("upstream broke" as const))
        const error = yield* Effect.flip(rows.pipe(Parquet.write(path, { rowGroupSize: 1 }), Stream.runDrain))
        assert.strictEqual(error, "upstream broke")
        assert.deepStrictEqual(readdirSync(folder), ["rows.parquet"])
        assert.strictEqual(readFileSync(path, "utf8"), "old")
      })))
  it.effect("an interruption in the middle leaves nothing", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "rows.parquet")
        const begun = yield* Deferred.make<void>()
        const rows = Stream.concat(
          Stream.make({ text: "a" }),
          Stream.fromEffect(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        )
        const fiber = yield* Effect.forkChild(rows.pipe(Parquet.write(path, { rowGroupSize: 1 }), Stream.runDrain))
        yield* Deferred.await(begun)
        assert.strictEqual(readdirSync(folder).length, 1)
        assert.isFalse(existsSync(path))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(readdirSync(folder), [])
      })))
  it.effect("a disk that fails at any operation leaves the old file whole and gives an error that says why", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "rows.parquet")
        const put = (text: string) => write(path, [{ text }, { text }], { rowGroupSize: 1 })
        const { done, disk } = faulty(-1)
        yield* put("old").pipe(onDisk(disk))
        assert.includeMembers(done, ["open", "append", "sync", "rename", "syncFolder"])
        for (let failAt = 0; failAt < done.length; failAt++) {
          const error = yield* Effect.flip(put("new").pipe(onDisk(faulty(failAt).disk)))
          assert.strictEqual(error.reason, "disk")
          assert.include(error.message, "the disk is full")
          const whole = done[failAt] === "syncFolder" ? "new" : "old"
          assert.deepStrictEqual((yield* values(path))[0], { text: whole })
          assert.deepStrictEqual(readdirSync(folder), ["rows.parquet"], `after a failed ${done[failAt]}`)
          yield* put("old")
        }
      })))
})

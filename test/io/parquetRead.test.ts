import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { counting, inFolder, numbers, onDisk } from "./support.ts"

const fixtures = join(import.meta.dirname, "fixtures")
const fixture = (name: string) => join(fixtures, `${name}.parquet`)
const expected: Record<string, ReadonlyArray<Record<string, unknown>>> = JSON.parse(
  readFileSync(join(fixtures, "expected.json"), "utf8")
)

/** Numbers for bigints, arrays for lists: what JSON can hold. */
const plain = (value: unknown): unknown => {
  if (typeof value === "bigint") return Number(value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8")
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value as ArrayLike<unknown>, plain)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}

const texts = (pattern: string | ReadonlyArray<string>, options: Parquet.ReadTextOptions) =>
  Stream.runCollect(Parquet.read(pattern, options))
const refusal = (pattern: string | ReadonlyArray<string>, options: Partial<Parquet.ReadTextOptions> = {}) =>
  Effect.flip(texts(pattern, { column: "text", ...options }))

describe("files that pyarrow wrote", () => {
  for (const [name, rows] of Object.entries(expected)) {
    it.effect(`${name} reads as what was written`, () =>
      Effect.gen(function*() {
        const read = yield* Stream.runCollect(Parquet.readRows(join(fixtures, name)))
        assert.deepStrictEqual<unknown>(read.map((row) => plain(row.values)), rows)
        assert.deepStrictEqual(read.map((row) => row.row), rows.map((_, i) => i))
      }))
  }
  it.effect("text keeps a byte order mark, joined emoji and newlines", () =>
    Effect.gen(function*() {
      const read = yield* texts(fixture("zstd"), { column: "text" })
      assert.deepStrictEqual(read, expected["zstd.parquet"]!.map((row) => row["text"] as string))
    }))
})

describe("finding files", () => {
  const layout = (folder: string) => {
    for (const name of ["a.parquet", "b.parquet", "deep/er/c.parquet", "_temporary/d.parquet", ".hidden.parquet", "[odd].parquet"]) {
      mkdirSync(join(folder, name, ".."), { recursive: true })
      copyFileSync(fixture("many-row-groups"), join(folder, name))
    }
    writeFileSync(join(folder, "notes.txt"), "no parquet")
  }
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["", ["[odd].parquet", "a.parquet", "b.parquet", "deep/er/c.parquet"]],
    ["a.parquet", ["a.parquet"]],
    ["*.parquet", ["[odd].parquet", "a.parquet", "b.parquet"]],
    ["**/*.parquet", ["[odd].parquet", "_temporary/d.parquet", "a.parquet", "b.parquet", "deep/er/c.parquet"]],
    ["deep/**", ["deep/er/c.parquet"]],
    ["[ab].parquet", ["a.parquet", "b.parquet"]],
    ["[!a].parquet", ["b.parquet"]],
    ["?.parquet", ["a.parquet", "b.parquet"]],
    ["{b,deep/*/c}.parquet", ["b.parquet", "deep/er/c.parquet"]],
    ["[odd].parquet", ["[odd].parquet"]]
  ]
  it.effect("takes paths, folders and patterns, sorted, each file once", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        layout(folder)
        for (const [pattern, names] of cases) {
          assert.deepStrictEqual(yield* Parquet.files(join(folder, pattern)), names.map((name) => join(folder, name)), pattern)
        }
        const both = yield* Parquet.files([join(folder, "b.parquet"), join(folder, "*.parquet")])
        assert.deepStrictEqual(both.map((path) => path.slice(folder.length + 1)), ["b.parquet", "[odd].parquet", "a.parquet"])
      })))
  it.effect("a pattern that matches nothing is refused, even beside one that does", () =>
    Effect.gen(function*() {
      for (const pattern of [join(fixtures, "none-*.parquet"), join(fixtures, "missing", "x.parquet"), join(fixtures, "missing/*.parquet")]) {
        const error = yield* refusal([fixture("snappy"), pattern])
        assert.strictEqual(error.reason, "noFiles")
        assert.include(error.message, pattern)
      }
    }))
})

describe("going on where reading stopped", () => {
  const two = [fixture("many-row-groups"), fixture("dictionary")]
  it.effect("every row carries its place, and reading from behind any row gives exactly the rest", () =>
    Effect.gen(function*() {
      const all = yield* Stream.runCollect(Parquet.readText(two, { column: "text" }))
      assert.strictEqual(all.length, 300)
      assert.deepInclude(all[20]!, { file: two[0]!, rowGroup: 2, row: 20, text: "row 20" })
      for (const seen of [0, 5, 6, 7, 98, 99, 100, 150, 298, 299]) {
        const rest = yield* Stream.runCollect(Parquet.readText(two, { column: "text", from: Parquet.after(all[seen]!) }))
        assert.deepStrictEqual(rest, all.slice(seen + 1), `after row ${seen}`)
        const counted = yield* Stream.runCollect(Parquet.readText(two, { column: "text", from: seen + 1 }))
        assert.deepStrictEqual(counted, all.slice(seen + 1), `passing over ${seen + 1} rows`)
      }
    }))
  it.effect("a place that the input does not have is refused", () =>
    Effect.gen(function*() {
      const from = { file: two[0]!, rowGroup: 0, row: 101 }
      assert.strictEqual((yield* refusal(two, { from })).reason, "badStart")
      assert.strictEqual((yield* refusal(two, { from: { ...from, file: "other.parquet" } })).reason, "badStart")
      assert.strictEqual((yield* refusal(two, { from: 301 })).reason, "badStart")
      assert.strictEqual((yield* refusal(two, { from: -1 })).reason, "badStart")
    }))
  it.effect("one file is open at a time, and none after stopping early, failing or the end", () =>
    Effect.gen(function*() {
      const { disk, open } = counting()
      yield* Parquet.read(two, { column: "text" }).pipe(
        Stream.tap(() => Effect.sync(() => assert.strictEqual(open.now, 1))),
        Stream.runDrain,
        onDisk(disk)
      )
      yield* Parquet.read(two, { column: "text" }).pipe(Stream.take(3), Stream.runDrain, onDisk(disk))
      yield* Effect.exit(Parquet.read(fixture("gzip"), { column: "note" }).pipe(Stream.runDrain, onDisk(disk)))
      assert.deepStrictEqual(open, { now: 0, ever: 4 })
    }))
})

describe("what cannot be read is refused in a sentence that names the place and the remedy", () => {
  it.effect("a missing column lists those there are and the nearest", () =>
    Effect.gen(function*() {
      const error = yield* refusal(fixture("snappy"), { column: "Txet" })
      assert.deepInclude({ ...error }, { reason: "missingColumn", column: "Txet", file: fixture("snappy") })
      assert.include(error.message, `"id", "text", "note", "ids", "score"`)
      assert.match(error.message, /did you mean "text"\?$/)
    }))
  it.effect("a column that is no text says what it is and which are", () =>
    Effect.gen(function*() {
      const types = { id: "int64", ids: "list of int32", score: "double" }
      for (const [column, type] of Object.entries(types)) {
        const error = yield* refusal(fixture("snappy"), { column })
        assert.strictEqual(error.reason, "wrongType")
        assert.include(error.message, `holds ${type}, not text`)
        assert.include(error.message, `"text", "note"`)
      }
      assert.include((yield* refusal(fixture("binary"))).message, "holds binary")
    }))
  it.effect("a null row fails by default, naming it, and can be skipped", () =>
    Effect.gen(function*() {
      const error = yield* refusal(fixture("gzip"), { column: "note" })
      assert.deepInclude({ ...error }, { reason: "nullValue", rowGroup: 0, row: 1, column: "note", file: fixture("gzip") })
      const kept = yield* Stream.runCollect(Parquet.readText(fixture("gzip"), { column: "note", nulls: "skip" }))
      assert.deepStrictEqual(kept.map(({ text, row }) => [row, text]), [[0, "first"], [2, "third"], [5, "sixth"], [6, ""], [7, "eighth"]])
    }))
  it.effect("pairs come side by side; a null in either column is a null row", () =>
    Effect.gen(function*() {
      const columns = { condition: "text", target: "note" }
      const error = yield* Effect.flip(Stream.runCollect(Parquet.readPairs(fixture("lz4"), columns)))
      assert.deepInclude({ ...error }, { reason: "nullValue", row: 1, column: "note" })
      const pairs = yield* Stream.runCollect(Parquet.readPairs(fixture("lz4"), { ...columns, nulls: "skip" }))
      assert.deepInclude(pairs[1]!, { condition: "tab\tand\nnewline", target: "third", row: 2 })
    }))
  it.effect("an empty file, another format, a folder of bytes", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const cases = { emptyFile: "", notParquet: "{\"not\":\"parquet\"}", truncated: "PAR1" }
        for (const [reason, content] of Object.entries(cases)) {
          const path = join(folder, `${reason}.parquet`)
          writeFileSync(path, content)
          const error = yield* refusal(path)
          assert.strictEqual(error.reason, reason)
          assert.include(error.message, path)
        }
      })))
  it.effect("a file cut off anywhere", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "cut.parquet")
        const whole = readFileSync(fixture("snappy"))
        for (let length = 1; length < whole.length; length += 13) {
          writeFileSync(path, whole.subarray(0, length))
          const error = yield* refusal(path)
          assert.include(["truncated", "corrupt"], error.reason)
        }
      })))
  it.effect("damage inside a column names row group and column", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "damaged.parquet")
        const bytes = readFileSync(fixture("gzip"))
        const { metadata } = yield* Effect.scoped(Parquet.open(fixture("gzip")))
        const chunk = metadata.row_groups[0]!.columns[1]!.meta_data!
        const start = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset)
        bytes.fill(0xff, start, start + Number(chunk.total_compressed_size))
        writeFileSync(path, bytes)
        const error = yield* refusal(path)
        assert.deepInclude({ ...error }, { reason: "corrupt", rowGroup: 0, column: "text", file: path })
      })))
  it.effect("bytes changed at random end in a value or a ParquetError, and the process lives", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const unhandled: Array<unknown> = []
        const listen = (reason: unknown) => unhandled.push(reason)
        process.on("unhandledRejection", listen)
        const path = join(folder, "mutated.parquet")
        const below = numbers(7)
        let refused = 0
        for (let i = 0; i < 300; i++) {
          const bytes = readFileSync(fixture(["snappy", "page-v2", "dictionary", "large"][i % 4]!))
          for (let k = 0; k <= below(3); k++) bytes[below(bytes.length)] = below(256)
          writeFileSync(path, bytes)
          const exit = yield* Effect.exit(Stream.runDrain(Parquet.readRows(path)))
          if (Exit.isSuccess(exit)) continue
          refused++
          assert.instanceOf(yield* Effect.flip(exit), Parquet.ParquetError)
        }
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
        process.off("unhandledRejection", listen)
        assert.deepStrictEqual(unhandled, [])
        assert.isAbove(refused, 50)
      })))
})

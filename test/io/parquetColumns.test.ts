/** Columns by path, token ids, several columns at once, pieces, and going on past damage. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Disk, Parquet } from "../../src/io/index.ts"
import { nodeDisk } from "../../src/io/Disk.ts"
import { inFolder } from "./support.ts"

const fixture = (name: string) => join(import.meta.dirname, "fixtures", `${name}.parquet`)
const written = fixture("written/pyarrow-row-groups")

const values = (column: string) =>
  Effect.map(Stream.runCollect(Parquet.readRows(written, { columns: [column] })), (rows) => rows.map((row) => row.values[column]))

/** As fixtures/make_written.py makes them. */
const metaText = (i: number) => i % 11 === 5 || i % 7 === 2 ? null : `m${i}`
const ids = (i: number) => i % 50 === 7 ? null : Array.from({ length: i % 9 }, (_, k) => (i * 31 + k) % 32100)

describe("columns", () => {
  it.effect("fields of structs by dotted path, also inside lists", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* values("meta.text"), Array.from({ length: 300 }, (_, i) => metaText(i)))
      const turns = Array.from({ length: 300 }, (_, i) => Array.from({ length: i % 4 }, (_, k) => `${i}.${k}`))
      assert.deepStrictEqual<unknown>(yield* values("turns.content"), turns)
      assert.deepStrictEqual<unknown>(yield* values("turns.list.element.content"), turns)
      const kinds = yield* Effect.scoped(Effect.flatMap(Parquet.open(written), (file) =>
        Effect.forEach(["meta.text", "meta.ids", "turns.content", "turns", "nested", "ids"], file.column)))
      assert.deepStrictEqual(kinds.map(({ type }) => type), ["text", "list of int64", "list of text", "list of struct", "list of list of int64", "list of int32"])
    }))
  it.effect("a path that leads nowhere names what there is", () =>
    Effect.map(Effect.flip(values("meta.txt")), (error) => {
      assert.strictEqual(error.reason, "missingColumn")
      assert.include(error.message, "\"meta\"")
    }))
  it.effect("token ids of 32 and 64 bits, at the top and in structs", () =>
    Effect.gen(function*() {
      const expected = Array.from({ length: 300 }, (_, i) => ids(i)).filter((list) => list !== null)
      for (const name of ["pyarrow-row-groups", "pyarrow-large", "duckdb-zstd", "polars-pages", "datasets"]) {
        const found = yield* Stream.runCollect(Parquet.readIds(fixture(`written/${name}`), { column: "ids", nulls: "skip" }))
        assert.isTrue(found.every((list) => list instanceof Int32Array), name)
        assert.deepStrictEqual(found.map((list) => Array.from(list)), expected, name)
      }
      const inside = yield* Stream.runCollect(Parquet.readIdRows(written, { column: "meta.ids", nulls: "skip" }))
      assert.deepStrictEqual(inside.find(({ row }) => row === 299)!.ids, Int32Array.of(299, 300))
    }))
  it.effect("what is no token id is refused with its row; so is a column of something else", () =>
    Effect.gen(function*() {
      const negative = yield* Effect.flip(Stream.runDrain(Parquet.readIds(fixture("snappy"), { column: "ids" })))
      assert.deepInclude({ ...negative }, { reason: "badRow", row: 2, column: "ids" })
      assert.include(negative.message, "-2147483648")
      const wide = yield* Effect.flip(Stream.runDrain(Parquet.readIds(fixture("large"), { column: "ids" })))
      assert.deepInclude({ ...wide }, { reason: "badRow", row: 2 })
      const nothing = yield* Effect.flip(Stream.runDrain(Parquet.readIds(written, { column: "ids" })))
      assert.deepInclude({ ...nothing }, { reason: "nullValue", row: 7 })
      const text = yield* Effect.flip(Stream.runDrain(Parquet.readIds(written, { column: "text" })))
      assert.deepInclude({ ...text }, { reason: "wrongType", detail: "the column holds text, not lists of whole numbers" })
    }))
  it.effect("pieces of a column are the column, and only its bytes are read", () =>
    Effect.gen(function*() {
      let bytes = 0
      const openToRead = async (path: string) => {
        const file = await nodeDisk.openToRead(path)
        const read = async (into: Uint8Array, position: number) => {
          const count = await file.read(into, position)
          bytes += count
          return count
        }
        return { ...file, read }
      }
      yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* Parquet.open(fixture("written/polars-pages"))
        const [group] = file.rowGroups
        for (const name of ["text", "ids", "meta.text", "turns", "id"]) {
          const column = yield* file.column(name)
          const before = bytes
          const whole = yield* file.readColumn(group!, column)
          const chunks = file.chunks(group!).filter((chunk) => `${chunk.column}.`.startsWith(`${name}.`))
          assert.strictEqual(bytes - before, chunks.reduce((sum, { compressedBytes }) => sum + compressedBytes, 0), name)
          const pieces = yield* Stream.runCollect(file.readPieces(group!, column))
          assert.deepStrictEqual(pieces.flatMap((piece) => Array.from<unknown>(piece)), Array.from<unknown>(whole), name)
          if (name === "ids") assert.isAbove(pieces.length, 4)
        }
      })).pipe(Effect.provideService(Disk, { ...nodeDisk, openToRead }))
    }))
  it.effect("a file's key is its content's", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const key = (path: string) => Effect.scoped(Effect.flatMap(Parquet.open(path), ({ contentKey }) => contentKey))
        const bytes = readFileSync(written)
        const copy = join(folder, "copy.parquet")
        writeFileSync(copy, bytes)
        assert.strictEqual(yield* key(copy), yield* key(written))
        assert.notStrictEqual(yield* key(fixture("snappy")), yield* key(written))
        bytes[100]! ^= 1
        writeFileSync(copy, bytes)
        assert.notStrictEqual(yield* key(copy), yield* key(written))
      })))
})

describe("onError", () => {
  it.effect("leaves out damaged row groups and files, tells of each, and keeps the rest", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const bytes = readFileSync(fixture("many-row-groups"))
        const { metadata } = yield* Effect.scoped(Parquet.open(fixture("many-row-groups")))
        for (const group of [3, 9]) {
          const chunk = metadata.row_groups[group]!.columns[0]!.meta_data!
          bytes.fill(0xff, Number(chunk.data_page_offset), Number(chunk.data_page_offset) + 8)
        }
        writeFileSync(join(folder, "a.parquet"), bytes)
        writeFileSync(join(folder, "b.parquet"), "no parquet at all")
        writeFileSync(join(folder, "c.parquet"), readFileSync(fixture("many-row-groups")))
        const told: Array<Parquet.ParquetError> = []
        const onError = (error: Parquet.ParquetError) => Effect.sync(() => void told.push(error))
        const rows = yield* Stream.runCollect(Parquet.readText(folder, { column: "text", onError }))
        const lost = new Set([3, 9])
        const expected = Array.from({ length: 100 }, (_, i) => `row ${i}`)
        assert.deepStrictEqual(rows.map(({ text }) => text), [...expected.filter((_, i) => !lost.has(Math.floor(i / 7))), ...expected])
        assert.deepStrictEqual(told.map(({ reason, rowGroup }) => [reason, rowGroup]), [["corrupt", 3], ["corrupt", 9], ["notParquet", undefined]])
        assert.isTrue(told.every(Parquet.isDamage))
        const failed = yield* Effect.flip(Stream.runDrain(Parquet.readText(join(folder, "c.parquet"), { column: "nope", onError })))
        assert.strictEqual(failed.reason, "missingColumn")
      })))
})

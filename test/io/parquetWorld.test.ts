/** Every value of files that others wrote, against digests of what pyarrow reads from them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { Disk, Parquet } from "../../src/io/index.ts"
import { memory } from "./parquetBytes.ts"
import { digestFile, type FileDigest } from "./parquetDigest.ts"

type Expected = FileDigest | { readonly error: string }

const fixtures = join(import.meta.dirname, "fixtures")
const expectedOf = (folder: string): Record<string, Expected> => JSON.parse(readFileSync(join(fixtures, folder, "digests.json"), "utf8")).files

/** Reads a file, unpacking it first where the fixture is packed. */
const digest = (path: string) =>
  existsSync(path) ? digestFile(path) : Effect.provideService(digestFile(path), Disk, memory(gunzipSync(readFileSync(`${path}.gz`))))

describe("apache/parquet-testing", () => {
  const folder = join(fixtures, "parquet-testing")
  const expected = expectedOf("parquet-testing")
  const names = Object.keys(expected)
  const bad = names.filter((name) => name.startsWith("bad_data/"))
  /** What is not read, and why. */
  const refused: Record<string, Parquet.ParquetError["reason"]> = {
    "data/datapage_v1-corrupt-checksum.parquet": "checksum",
    "data/rle-dict-uncompressed-corrupt-checksum.parquet": "checksum",
    // One text of 1 GiB: longer than a string of JavaScript may be.
    "data/large_string_map.brotli.parquet": "unsupported"
  }
  const good = names.filter((name) => !bad.includes(name) && refused[name] === undefined && !("error" in expected[name]!))

  it("there are 61 files of its data folder with pyarrow's values, and 10 of geometry", () => {
    assert.strictEqual(good.filter((name) => /^data\/[^/]+$/.test(name)).length, 61)
    assert.strictEqual(good.length, 71)
  })
  for (const name of good) {
    it.effect(`${name} reads as pyarrow reads it`, () =>
      Effect.map(digest(join(folder, name)), (found) => assert.deepStrictEqual(found, expected[name])))
  }
  for (const name of bad) {
    it.effect(`${name} is refused`, () =>
      Effect.map(Effect.flip(digest(join(folder, name))), (error) => {
        assert.instanceOf(error, Parquet.ParquetError)
        assert.strictEqual(error.reason, "corrupt")
        assert.include(error.message, name)
        // Only where the footer itself is broken is there no column to name.
        if (name !== "bad_data/PARQUET-1481.parquet") assert.isString(error.column)
      }))
  }
  for (const [name, reason] of Object.entries(refused)) {
    it.effect(`${name} is refused: ${reason}`, () =>
      Effect.map(Effect.flip(digest(join(folder, name))), (error) => {
        assert.strictEqual(error.reason, reason)
        assert.deepInclude({ ...error }, { rowGroup: 0, file: join(folder, name) })
        assert.isString(error.column)
      }))
  }
  it.effect("an encrypted file is refused as such", () =>
    Effect.gen(function*() {
      for (const name of readdirSync(join(folder, "data")).filter((one) => one.endsWith(".encrypted"))) {
        const error = yield* Effect.flip(digest(join(folder, "data", name)))
        assert.strictEqual(error.reason, "unsupported", name)
      }
    }))
})

describe("pyarrow, DuckDB, polars and datasets", () => {
  for (const [name, expected] of Object.entries(expectedOf("written"))) {
    it.effect(`${name} reads as pyarrow reads it`, () =>
      Effect.map(digest(join(fixtures, "written", name)), (found) => assert.deepStrictEqual<unknown>(found, expected)))
  }
  it("each of them is there with its codecs", () => {
    const names = Object.keys(expectedOf("written"))
    for (const [writer, least] of Object.entries({ pyarrow: 18, duckdb: 7, polars: 7, datasets: 1 })) {
      assert.isAtLeast(names.filter((name) => name.startsWith(writer)).length, least, writer)
    }
  })
})

/** Damaged files: an error that says where, or the values that were written; never other values, never a dead process. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { digestBytes, mutate, unhandledDuring } from "./parquetBytes.ts"
import { numbers } from "./support.ts"

const fixtures = join(import.meta.dirname, "fixtures")
const bytesOf = (name: string) => readFileSync(join(fixtures, `${name}.parquet`))

describe("damage", () => {
  it.effect("every truncation of a file is refused", () =>
    Effect.gen(function*() {
      const whole = bytesOf("snappy")
      for (let length = 0; length < whole.length; length++) {
        const found = yield* digestBytes(whole.subarray(0, length))
        if (typeof found === "string") assert.fail(`${length} of ${whole.length} bytes were read as a file`)
        assert.include(["emptyFile", "truncated", "corrupt"], found.reason)
        assert.strictEqual(found.file, "memory.parquet")
      }
    }))

  for (const name of ["written/pyarrow-plain", "written/pyarrow-snappy-v2", "written/pyarrow-none-v2"]) {
    it.effect(`${name}, whose pages have checksums: no flipped bit changes a value unnoticed`, () =>
      Effect.gen(function*() {
        const original = bytesOf(name)
        const expected = yield* digestBytes(original)
        assert.isString(expected)
        const below = numbers(11)
        const reasons: Record<string, number> = {}
        for (let i = 0; i < 300; i++) {
          const bytes = Uint8Array.from(original)
          const [at, bit] = [below(bytes.length), below(8)]
          bytes[at]! ^= 1 << bit
          const found = yield* digestBytes(bytes)
          if (typeof found === "string") assert.strictEqual(found, expected, `bit ${bit} of byte ${at}`)
          const outcome = typeof found === "string" ? "harmless" : found.reason
          reasons[outcome] = (reasons[outcome] ?? 0) + 1
        }
        assert.isAbove(reasons["checksum"] ?? 0, 50, JSON.stringify(reasons))
      }))
  }

  it.effect("any mutation ends in values or a ParquetError, and nothing is left behind", () =>
    Effect.gen(function*() {
      const originals = ["snappy", "page-v2", "delta", "large", "many-row-groups", "written/duckdb-zstd", "written/polars-lz4", "written/pyarrow-kinds"].map(bytesOf)
      const below = numbers(7)
      const all = Effect.gen(function*() {
        let refused = 0
        for (let i = 0; i < 400; i++) {
          const found = yield* digestBytes(mutate(originals[i % originals.length]!, below))
          if (typeof found === "string") continue
          refused++
          assert.instanceOf(found, Parquet.ParquetError)
        }
        return refused
      })
      const [refused, unhandled] = yield* unhandledDuring(all)
      assert.deepStrictEqual(unhandled, [])
      assert.isAbove(refused, 200)
    }))
})

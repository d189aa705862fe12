/** Damaged files: an error that says where, or the values that were written; never other values, never a dead process. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { digestBytes } from "./parquetBytes.ts"
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
})

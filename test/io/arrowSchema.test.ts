/** Arrow's schema, extended: knows what it should, and gives none where it cannot be right. What pyarrow makes of it: outsideReaders. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { join } from "node:path"
import { arrowSchemaKey, extendArrowSchema } from "../../src/io/arrowSchema.ts"
import { Parquet } from "../../src/io/index.ts"
import { parseType } from "../../src/io/parquetTypes.ts"

const fixture = (name: string) => join(import.meta.dirname, "fixtures", "written", `${name}.parquet`)

const schemaOf = (name: string) =>
  Effect.scoped(Effect.map(Parquet.open(fixture(name)), ({ columns, metadata }) => ({
    encoded: metadata.key_value_metadata!.find(({ key }) => key === arrowSchemaKey)!.value!,
    names: columns.map((column) => column.name)
  })))

const added = [parseType("answer", "string?")!, parseType("latents", "list<float>?")!, parseType("seed", "int64")!]

describe("Arrow's schema", () => {
  it.effect("any choice of columns in any order, and added ones, which can be carried on like the others", () =>
    Effect.gen(function*() {
      for (const name of ["pyarrow-none", "pyarrow-large", "pyarrow-kinds", "datasets", "polars-zstd"]) {
        const { encoded, names } = yield* schemaOf(name)
        fc.assert(fc.property(fc.shuffledSubarray(names), (carried) => {
          const once = extendArrowSchema(encoded, carried, added)
          assert.isDefined(once)
          const all = [...added.map((column) => column.name), ...carried]
          const twice = extendArrowSchema(once, all.toReversed(), [])
          assert.isDefined(twice)
          assert.isUndefined(extendArrowSchema(once, ["nobody"], []))
          for (const left of names.filter((each) => !carried.includes(each))) assert.isUndefined(extendArrowSchema(once, [left], []), left)
        }), { numRuns: 10 })
      }
    }))

  it.effect("bytes that are no schema, or only the beginning of one, give none and throw nothing", () =>
    Effect.gen(function*() {
      const { encoded, names } = yield* schemaOf("pyarrow-none")
      const bytes = Buffer.from(encoded, "base64")
      for (const odd of ["", "????", Buffer.alloc(64).toString("base64"), Buffer.alloc(64, 0xff).toString("base64")]) {
        assert.isUndefined(extendArrowSchema(odd, names, added), odd)
      }
      for (let end = 0; end < bytes.length; end += 7) extendArrowSchema(bytes.subarray(0, end).toString("base64"), names, added)
      fc.assert(fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const changed = Buffer.from(bytes)
        changed[at] = value
        extendArrowSchema(changed.toString("base64"), names, added)
      }))
    }))
})

/** Footers read and written again: the same bytes, whatever is in them; nothing that is none gets through. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { deserializeTCompactProtocol } from "hyparquet/src/thrift.js"
import { i32, i64, integerOf, readStruct, type Struct, structList, structsOf, textOf, type Thrift, withFields, writeStruct } from "../../src/io/thrift.ts"

const fixtures = join(import.meta.dirname, "fixtures")

const footerOf = (path: string): Buffer => {
  const bytes = readFileSync(path)
  const length = bytes.readUInt32LE(bytes.length - 8)
  return bytes.subarray(bytes.length - 8 - length, bytes.length - 8)
}

const bytes = fc.uint8Array({ maxLength: 20 })
const wide = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })

/** Elements of lists carry the list's type, so lists are made of one kind each. */
const kinds = fc.letrec<{ readonly struct: Struct; readonly value: Thrift }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.boolean().map((value): Thrift => ({ type: "boolean", value })),
    fc.integer({ min: 0, max: 255 }).map((value): Thrift => ({ type: "byte", value })),
    fc.constantFrom("i16" as const, "i32" as const, "i64" as const).chain((type) => wide.map((value): Thrift => ({ type, value }))),
    fc.uint8Array({ minLength: 8, maxLength: 8 }).map((value): Thrift => ({ type: "double", value })),
    bytes.map((value): Thrift => ({ type: "binary", value })),
    fc.array(fc.boolean().map((value): Thrift => ({ type: "boolean", value })), { maxLength: 20 }).map((value): Thrift => ({ type: "list", of: 1, value })),
    fc.array(wide.map(i64), { maxLength: 20 }).map((value): Thrift => ({ type: "set", of: 6, value })),
    fc.array(tie("struct"), { maxLength: 17 }).map(structList),
    tie("struct")
  ),
  struct: fc.array(fc.tuple(fc.integer({ min: 1, max: 300 }), tie("value")), { maxLength: 6 }).map((fields): Struct =>
    ({ type: "struct", value: new Map(fields.toSorted(([a], [b]) => a - b)) }))
}))

const plain = (value: Thrift): unknown =>
  value.type === "struct" ? [...value.value].map(([id, field]) => [id, field.type, plain(field)])
    : value.type === "list" || value.type === "set" ? [value.of, value.value.map(plain)]
    : value.value instanceof Uint8Array ? Buffer.from(value.value).toString("hex") : value.value

describe("thrift", () => {
  it.effect("what is written is what is read", () =>
    Effect.sync(() => fc.assert(fc.property(kinds.struct, (struct) => {
      assert.deepStrictEqual(plain(readStruct(writeStruct(struct))), plain(struct))
    }))))

  it.effect("footers of other writers come out byte for byte, and mean the same to another reader", () =>
    Effect.sync(() => {
      const paths = readdirSync(join(fixtures, "written")).filter((name) => name.endsWith(".parquet")).map((name) => join(fixtures, "written", name))
      assert.isAbove(paths.length, 20)
      for (const path of paths) {
        const footer = footerOf(path)
        const again = writeStruct(readStruct(footer))
        assert.isTrue(Buffer.from(again).equals(footer), path)
        const view = new DataView(again.buffer, again.byteOffset, again.byteLength)
        assert.strictEqual(Number(deserializeTCompactProtocol({ view, offset: 0 }).field_3), Number(integerOf(readStruct(footer), 3)), path)
      }
    }))

  it.effect("cut off or changed anywhere: a RangeError at most, and no allocation beyond the bytes", () =>
    Effect.sync(() => {
      const footer = footerOf(join(fixtures, "written", "pyarrow-plain.parquet"))
      for (let end = 0; end < footer.length; end++) assert.throws(() => readStruct(footer.subarray(0, end)), RangeError)
      fc.assert(fc.property(fc.integer({ min: 0, max: footer.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const changed = Buffer.from(footer)
        changed[at] = value
        try {
          readStruct(changed)
        } catch (error) {
          assert.instanceOf(error, RangeError)
        }
      }), { numRuns: 500 })
      assert.throws(() => readStruct(Uint8Array.of(0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f)), /a list is longer/)
      assert.throws(() => readStruct(new Uint8Array(200).fill(0x1c)), /nested too deeply/)
    }))

  it.effect("fields by number: changed, removed, absent", () =>
    Effect.sync(() => {
      const struct: Struct = { type: "struct", value: new Map<number, Thrift>([[1, i32(5)], [2, { type: "binary", value: Buffer.from("ü") }]]) }
      assert.deepStrictEqual([integerOf(struct, 1), textOf(struct, 2), integerOf(struct, 9), textOf(struct, 9), structsOf(struct, 9)], [5n, "ü", 0n, "", []])
      assert.deepStrictEqual([...withFields(struct, { 1: undefined, 3: i64(7n) }).value.keys()], [2, 3])
    }))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import fc from "fast-check"
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Safetensors } from "../../src/io/index.ts"
import { duplicateKey } from "../../src/io/duplicateKeys.ts"
import { fromHalf, toHalf, toHalfBits } from "../../src/io/halfFloat.ts"
import { check } from "../support/prop.ts"
import { faulty, inFolder, numbers, onDisk } from "./support.ts"

const shape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 })
const size = (sizes: ReadonlyArray<number>) => sizes.reduce((a, b) => a * b, 1)
const ofLength = (n: number) => ({ minLength: n, maxLength: n })
const tensor = fc.tuple(fc.string(), shape).chain(([name, sizes]) =>
  fc.oneof(
    fc.float32Array(ofLength(size(sizes))),
    fc.int32Array(ofLength(size(sizes))),
    fc.uint8Array(ofLength(size(sizes)))
  ).map((data): Safetensors.TensorToWrite => ({ name, shape: sizes, data })))
const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 })
  .filter((all) => all.every(({ name }) => name !== "__metadata__"))

/** A file out of a JSON header and data bytes. */
const file = (header: string | object, dataBytes: number, length?: bigint): Buffer => {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header))
  const bytes = Buffer.alloc(8 + json.length + dataBytes)
  bytes.writeBigUInt64LE(length ?? BigInt(json.length))
  json.copy(bytes, 8)
  return bytes
}

const entry = (dtype: string, sizes: ReadonlyArray<number>, begin: number, end: number) => ({ dtype, shape: sizes, data_offsets: [begin, end] })

describe("half floats", () => {
  it("every half survives the way to 32 bits and back", () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i)
    const values = fromHalf(halves)
    const back = toHalf(values)
    for (const half of halves) {
      if (Number.isNaN(values[half]!)) assert.isTrue((back[half]! & 0x7c00) === 0x7c00 && (back[half]! & 0x3ff) !== 0)
      else assert.strictEqual(back[half], half)
    }
    assert.deepStrictEqual(Array.from(fromHalf(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00))), [1, -2, 2 ** -24, 65504, Infinity])
  })
  it("rounds to the nearest, and a tie to the even neighbour", () => {
    const known = fromHalf(Uint16Array.from({ length: 0x7c00 }, (_, i) => i))
    for (let half = 0; half < 0x7bff; half++) {
      const [low, high] = [known[half]!, known[half + 1]!]
      const middle = (low + high) / 2
      assert.strictEqual(toHalfBits(middle), half % 2 === 0 ? half : half + 1)
      assert.strictEqual(toHalfBits(Math.fround(middle + (high - low) / 64)), half + 1)
      assert.strictEqual(toHalfBits(-Math.fround(middle - (high - low) / 64)), 0x8000 | half)
    }
    assert.deepStrictEqual([65519.99, 65520, 1e30, -Infinity, 2 ** -25, 2 ** -24 * 0.51, -0].map(toHalfBits), [0x7bff, 0x7c00, 0x7c00, 0xfc00, 0, 1, 0x8000])
  })
})

describe("write and read", () => {
  it.effect("any tensors come back equal, bit for bit", () =>
    inFolder((folder) =>
      check([tensors, fc.dictionary(fc.string().filter((key) => key !== "__proto__"), fc.string())], (all, metadata) =>
        Effect.gen(function*() {
          const path = join(folder, "all.safetensors")
          const written = yield* Safetensors.write(path, all, { metadata })
          assert.strictEqual(written.bytes, statSync(path).size)
          const read = yield* Safetensors.readAll(path)
          assert.strictEqual(read.size, all.length)
          for (const { name, shape, data } of all) {
            assert.deepStrictEqual(read.get(name)!.shape, shape)
            assert.deepStrictEqual(read.get(name)!.data, data)
          }
          const { metadata: found } = yield* Effect.scoped(Safetensors.open(path))
          assert.deepStrictEqual({ ...found }, { ...metadata })
        }), { numRuns: 100 })))
  it.effect("F16, BF16, I64 and BOOL are converted; what does not fit is refused", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "types.safetensors")
        yield* Safetensors.write(path, [{ name: "h", shape: [3], data: Float32Array.of(1, 0.1, -65504), dtype: "F16" }])
        assert.deepStrictEqual(Array.from((yield* Safetensors.readAll(path)).get("h")!.data), [1, 0.0999755859375, -65504])
        const tooLarge = yield* Effect.flip(
          Safetensors.write(path, [{ name: "h", shape: [2], data: Float32Array.of(1, 65520), dtype: "F16" }]))
        assert.include(tooLarge.message, "element 1 is 65520, more than F16 holds; write the tensor as F32.")

        const bytes = file({ i: entry("I64", [2], 0, 16), b: entry("BF16", [1], 16, 18), t: entry("BOOL", [2], 18, 20) }, 20)
        const data = bytes.length - 20
        bytes.writeBigInt64LE(-5n, data)
        bytes.writeBigInt64LE(2n ** 31n - 1n, data + 8)
        bytes.writeUInt16LE(0x3fc0, data + 16)
        bytes[data + 19] = 1
        writeFileSync(path, bytes)
        const read = yield* Safetensors.readAll(path)
        assert.deepStrictEqual([...read.values()].map((t) => Array.from(t.data)), [[-5, 2147483647], [1.5], [0, 1]])
        bytes.writeBigInt64LE(2n ** 31n, data + 8)
        bytes[data + 18] = 2
        writeFileSync(path, bytes)
        for (const [name, words] of [["i", "element 1 is 2147483648"], ["b", ""], ["t", "neither 0 nor 1"]] as const) {
          const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(Safetensors.open(path), (opened) => opened.read(name))))
          if (words === "") assert.isTrue(Exit.isSuccess(exit))
          else assert.include((yield* Effect.flip(exit)).message, words)
        }
      })))
  it.effect("one tensor is read without the others", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "two.safetensors")
        yield* Safetensors.write(path, [{ name: "a", shape: [2], data: Float32Array.of(1, 2) }, { name: "b", shape: [2], data: Float32Array.of(3, 4) }])
        yield* Effect.scoped(Effect.gen(function*() {
          const opened = yield* Safetensors.open(path)
          assert.deepStrictEqual(Array.from((yield* opened.read("b")).data), [3, 4])
          const error = yield* Effect.flip(opened.read("c"))
          assert.deepInclude({ ...error }, { reason: "missingTensor", tensor: "c", file: path })
        }))
      })))
  it.effect("values that do not make their shape, and names given twice, are refused before anything is written", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "bad.safetensors")
        const one = { name: "a", shape: [1], data: Float32Array.of(1) }
        for (const all of [[{ ...one, shape: [2] }], [one, one], [{ ...one, name: "__metadata__" }], [{ ...one, dtype: "I32" as const }]]) {
          assert.instanceOf(yield* Effect.flip(Safetensors.write(path, all)), Safetensors.SafetensorsError)
        }
        assert.deepStrictEqual(readdirSync(folder), [])
      })))
  it.effect("a disk that fails at any operation leaves the old file whole", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "a.safetensors")
        const put = (value: number) => Safetensors.write(path, [{ name: "a", shape: [1], data: Float32Array.of(value) }])
        const { disk, done } = faulty(-1)
        yield* put(1).pipe(onDisk(disk))
        for (let failAt = 0; failAt < done.length; failAt++) {
          assert.strictEqual((yield* Effect.flip(put(2).pipe(onDisk(faulty(failAt, "EIO").disk)))).reason, "disk")
          assert.include([1, 2], (yield* Safetensors.readAll(path)).get("a")!.data[0])
          if (done[failAt] !== "syncFolder") assert.strictEqual((yield* Safetensors.readAll(path)).get("a")!.data[0], 1)
          assert.deepStrictEqual(readdirSync(folder), ["a.safetensors"])
          yield* put(1)
        }
      })))
})

describe("hostile files", () => {
  const F = (begin: number, end: number) => entry("F32", [(end - begin) / 4], begin, end)
  const cases: ReadonlyArray<readonly [string, Buffer, Safetensors.SafetensorsError["reason"]]> = [
    ["nothing", Buffer.alloc(0), "tooShort"],
    ["seven bytes", Buffer.alloc(7), "tooShort"],
    ["a header longer than the file", file("{}", 0, 3n), "headerTooLong"],
    ["a header of 2⁶⁴ − 1 bytes", file("{}", 0, 2n ** 64n - 1n), "headerTooLong"],
    ["no JSON", file("{,}", 0), "badHeader"],
    ["a list", file("[]", 0), "badHeader"],
    ["a byte order mark", file("\ufeff{}", 0), "badHeader"],
    ["no UTF-8", file("{\"\xff\": 1}".replace("\xff", "x"), 0).fill(0xff, 10, 11), "badHeader"],
    ["a name given twice", file(`{"a":${JSON.stringify(F(0, 4))},"\\u0061":${JSON.stringify(F(4, 8))}}`, 8), "badHeader"],
    ["a key given twice inside a tensor", file(`{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}`, 4), "badHeader"],
    ["metadata that is no text", file({ __metadata__: { a: 1 } }, 0), "badHeader"],
    ["a missing field", file({ a: { dtype: "F32", shape: [] } }, 4), "badHeader"],
    ["a field too many", file({ a: { ...F(0, 4), more: 1 } }, 4), "badHeader"],
    ["an unknown dtype", file({ a: entry("F99", [1], 0, 4) }, 4), "unsupportedType"],
    ["a dtype of every object", file({ a: entry("constructor", [1], 0, 4) }, 4), "unsupportedType"],
    ["a negative size", file({ a: entry("F32", [-1], 0, 4) }, 4), "badShape"],
    ["a fraction of a size", file({ a: entry("F32", [0.5, 2], 0, 4) }, 4), "badShape"],
    ["a shape that overflows", file({ a: entry("F32", [2 ** 40, 2 ** 40], 0, 4) }, 4), "badShape"],
    ["fewer bytes than the shape needs", file({ a: entry("F32", [2], 0, 4) }, 4), "badOffsets"],
    ["an end before the beginning", file({ a: entry("F32", [1], 4, 0) }, 4), "badOffsets"],
    ["a gap", file({ a: F(0, 4), b: F(8, 12) }, 12), "badOffsets"],
    ["an overlap", file({ a: F(0, 8), b: F(4, 12) }, 12), "badOffsets"],
    ["data beyond the file", file({ a: F(0, 4000) }, 4), "badOffsets"],
    ["data that no tensor owns", file({ a: F(0, 4) }, 8), "badOffsets"]
  ]
  it.effect("each is refused for its own reason", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "hostile.safetensors")
        for (const [what, bytes, reason] of cases) {
          writeFileSync(path, bytes)
          const error = yield* Effect.flip(Safetensors.readAll(path))
          assert.strictEqual(error.reason, reason, what)
          assert.include(error.message, path)
        }
      })))
  it.effect("500 files with bytes changed at random give a value or a SafetensorsError", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "mutated.safetensors")
        yield* Safetensors.write(path, [
          { name: "weight", shape: [3, 4], data: Float32Array.from({ length: 12 }, (_, i) => i) },
          { name: "half", shape: [2], data: Float32Array.of(1, 2), dtype: "F16" },
          { name: "ids", shape: [3], data: Int32Array.of(1, 2, 3) }
        ], { metadata: { step: "3" } })
        const whole = readFileSync(path)
        const below = numbers(3)
        let refused = 0
        for (let i = 0; i < 500; i++) {
          const bytes = Buffer.from(whole)
          for (let k = 0; k <= below(3); k++) bytes[below(i % 2 === 0 ? bytes.length - 68 : bytes.length)] = below(256)
          writeFileSync(path, i % 5 === 0 ? bytes.subarray(0, below(bytes.length)) : bytes)
          const exit = yield* Effect.exit(Safetensors.readAll(path))
          if (Exit.isSuccess(exit)) continue
          refused++
          assert.instanceOf(yield* Effect.flip(exit), Safetensors.SafetensorsError)
        }
        assert.isAbove(refused, 250)
      })))
  it("finds a key given twice at any depth, and none where there is none", () => {
    const cases = [
      ["{\"a\":1,\"b\":{\"a\":[{\"a\":1}]}}", undefined],
      ["{\"a\":\"a\",\"b\":\"\\\"a\\\":\"}", undefined],
      ["[{\"a\":1},{\"a\":2}]", undefined],
      ["{\"x\":{\"a\" : 1,\"b\":\"}\",\"a\":2}}", "a"],
      ["{\"é\":1,\"\\u00e9\":2}", "é"],
      ["{\"__proto__\":1,\"__proto__\":2}", "__proto__"]
    ] as const
    for (const [json, key] of cases) assert.strictEqual(duplicateKey(json), key, json)
  })
})

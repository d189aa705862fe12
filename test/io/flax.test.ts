/** Flax msgpack files: the reference's own checkpoints, chunked arrays, and hostile messages. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import * as FlaxCheckpoint from "../../src/io/flax/FlaxCheckpoint.ts"
import * as FlaxFile from "../../src/io/flax/FlaxFile.ts"
import { FlaxFileError } from "../../src/io/flax/FlaxFileError.ts"
import type { ForeignWeights } from "../../src/io/ForeignWeights.ts"
import { ckptCase, ckptPath } from "./ckptCases.ts"
import { array, chunked, extension, file, int, list, long, map, text } from "./flaxFiles.ts"
import { onDisk } from "./support.ts"
import { diskOf, floats } from "./torchFiles.ts"

const sha256 = (values: Float32Array) => createHash("sha256").update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).digest("hex")

const digests = (weights: ForeignWeights<FlaxFileError>) =>
  Effect.map(Effect.forEach(weights, ([name, { read, shape }]) => Effect.map(read, (values) => [name, { shape, sha256: sha256(values) }] as const)), Object.fromEntries)

const expected = (section: string) => {
  const { tensor_digests } = ckptCase("ckpt_jax_expected").scalars
  const own = Object.entries(tensor_digests).filter(([name]) => name.startsWith(`${section}.`))
  assert.strictEqual(own.length, 47)
  return Object.fromEntries(own.map(([name, { sha256, shape }]) => [name.slice(section.length + 1), { shape, sha256 }]))
}

describe("the reference's checkpoints", () => {
  it.effect("the older msgpack file: every parameter under its PyTorch name, in its layout, bit for bit", () =>
    Effect.scoped(Effect.gen(function*() {
      const { ema, model, notes, step } = yield* FlaxCheckpoint.open(ckptPath("ckpt_jax_msgpack"))
      assert.deepStrictEqual(yield* digests(model), expected("params"))
      assert.strictEqual(ema, undefined)
      assert.strictEqual(step, 3)
      assert.deepStrictEqual(notes, [])
    })))
  it.effect("an orbax folder that the reference's loader wrote as msgpack: the moving average too", () =>
    Effect.scoped(Effect.gen(function*() {
      const { ema, model, step } = yield* FlaxCheckpoint.open(ckptPath("ckpt_jax_orbax_msgpack"))
      assert.deepStrictEqual(yield* digests(model), expected("params"))
      assert.deepStrictEqual(yield* digests(ema!), expected("ema_params1"))
      assert.strictEqual(step, 3)
    })))
})

const open = (bytes: Uint8Array) => FlaxCheckpoint.open("hostile.msgpack").pipe(onDisk(diskOf(bytes)))
const readAll = (bytes: Uint8Array) =>
  Effect.scoped(Effect.gen(function*() {
    const { model, step } = yield* open(bytes)
    const values: Record<string, ReadonlyArray<number>> = {}
    for (const [name, { read }] of model) values[name] = Array.from(yield* read.pipe(onDisk(diskOf(bytes))))
    return { step, values }
  }))

describe("arrays", () => {
  it.effect("kernels are transposed, bare kernels are not, blocks are renamed, chunks are joined", () =>
    Effect.gen(function*() {
      const kernel = array([2, 3], "float32", floats(1, 2, 3, 4, 5, 6))
      const { step, values } = yield* readAll(file([
        ["blocks_10", map([["attn", map([["qkv", map([["kernel", kernel]])]])]])],
        ["proj_kernel", kernel],
        ["split", map([["kernel", chunked([3, 2], array([4], "float32", floats(1, 2, 3, 4)), array([2], "float32", floats(5, 6)))]])],
        ["half", array([2], "float16", Buffer.of(0, 0x3c, 0, 0xc0))],
        ["brain", array([1], "bfloat16", Buffer.of(0x80, 0x3f))],
        ["double", array([1], "float64", Buffer.from(Float64Array.of(0.5).buffer))]
      ], [["step", array([], "int32", Buffer.of(9, 0, 0, 0), 3)]]))
      assert.deepStrictEqual(values, {
        "blocks.10.attn.qkv.weight": [1, 4, 2, 5, 3, 6],
        proj_kernel: [1, 2, 3, 4, 5, 6],
        "split.weight": [1, 3, 5, 2, 4, 6],
        half: [1, -2],
        brain: [1],
        double: [0.5]
      })
      assert.strictEqual(step, 9)
    }))

  it.effect("plain values of every kind are read", () =>
    Effect.gen(function*() {
      const every = list(
        Buffer.of(0xc0), Buffer.of(0xc2), Buffer.of(0xcc, 200), Buffer.of(0xcd, 1, 0), Buffer.of(0xce, 0, 1, 0, 0), Buffer.of(0xcf, 0, 0, 0, 1, 0, 0, 0, 0), Buffer.of(0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0),
        Buffer.of(0xd0, 0x80), Buffer.of(0xd1, 0xff, 0), Buffer.of(0xd2, 0xff, 0xff, 0, 0), Buffer.of(0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), Buffer.of(0xe0), Buffer.of(0xca, 0x3f, 0x80, 0, 0),
        Buffer.of(0xcb, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0), Buffer.of(0xa1, 0x78), Buffer.of(0xda, 0, 1, 0x79), Buffer.of(0xdb, 0, 0, 0, 1, 0x7a), Buffer.of(0x91, 5), Buffer.of(0xdd, 0, 0, 0, 1, 6), Buffer.of(0x81, 0xa1, 0x6b, 7),
        long(0xdf, 1, Buffer.of(0xa1, 0x6b, 8))
      )
      const { tree } = yield* Effect.scoped(FlaxFile.open("plain").pipe(onDisk(diskOf(every))))
      assert.deepStrictEqual(tree as unknown, [
        null, false, 200, 256, 65536, 2 ** 32, 2n ** 63n, -128, -256, -65536, -1, -32, 1, 0.5, "x", "y", "z", [5], [6], new Map([["k", 7]]), new Map([["k", 8]])
      ])
    }))
})

const one = array([1], "float32", floats(1))
const hostile: ReadonlyArray<readonly [string, Buffer, RegExp]> = [
  ["nothing", Buffer.alloc(0), /1 bytes are claimed where 0 are left/],
  ["a list of four billion", Buffer.of(0xdd, 0xff, 0xff, 0xff, 0xff, 1), /are left/],
  ["a map of four billion", Buffer.of(0xdf, 0xff, 0xff, 0xff, 0xff), /are left/],
  ["a text of four billion bytes", long(0xdb, 0xffffffff), /text of 4294967295 bytes/],
  ["bytes of four billion", long(0xc6, 0xffffffff, Buffer.of(1)), /4294967295 bytes are claimed where 1 are left/],
  ["an extension of four billion bytes", long(0xc9, 0xffffffff, Buffer.of(1)), /are claimed where 0 are left/],
  ["deep nesting", Buffer.alloc(100_000, 0x91), /nest deeper than 64/],
  ["deep maps", Buffer.concat(Array.from({ length: 1000 }, () => Buffer.of(0x81, 0xa1, 0x61))), /nest deeper/],
  ["millions of values", Buffer.concat([Buffer.of(0xdd, 0, 0x20, 0, 0), Buffer.alloc(1 << 21, 0xc0)]), /more than 32768 values/],
  ["the byte that begins nothing", Buffer.of(0xc1), /0xc1/],
  ["a key twice", map([["params", int(1)], ["params", int(2)]]), /the key "params" twice/],
  ["a key that is a number", Buffer.of(0x81, 1, 1), /no text/],
  ["broken text", Buffer.of(0x81, 0xa1, 0xff, 1), /not UTF-8/],
  ["bytes behind the end", Buffer.concat([file([["a", one]]), Buffer.of(0)]), /1 bytes follow/],
  ["no map", Buffer.of(0x91, 1), /holds no map/],
  ["no params", map([["weights", map([])]]), /it holds weights, but no "params"/],
  ["params that are no map", map([["params", int(1)]]), /no "params"/],
  ["an average that is no map", file([["a", one]], [["ema_params1", int(1)]]), /is no map/],
  ["a parameter that is no array", file([["a", int(1)]]), /tensor "a"\): this is no array/],
  ["an array of another length", file([["a", array([2], "float32", floats(1))]]), /4 bytes are given to an array of shape \[2\]/],
  ["an array of absurd sizes", file([["a", extension(1, list(list(...Array.from({ length: 16 }, () => long(0xce, 0xffffffff))), text("float32"), long(0xc6, 0)))]]), /0 bytes are given/],
  ["an array of Python objects", file([["a", array([1], "object", floats(1))]]), /elements are of type "object"/],
  ["an array that is no array", file([["a", extension(1, list(int(1)))]]), /not made of a shape/],
  ["an array with something behind it", file([["a", extension(1, Buffer.concat([list(list(), text("float32"), long(0xc6, 0)), Buffer.of(0)]))]]), /1 bytes follow/],
  ["whole numbers as weights", file([["a", array([1], "int32", floats(1))]]), /weights are floats/],
  ["a kernel of one axis", file([["a", map([["kernel", one]])]]), /a kernel has 1 axes/],
  ["two arrays of one name", file([["a", map([["kernel", array([1, 1], "float32", floats(1))], ["weight", one]])]]), /two arrays are called a\.weight/],
  ["chunks that are no arrays", file([["a", chunked([1], int(1))]]), /chunked array is not made/],
  ["chunks that do not fill their shape", file([["a", chunked([3], one, one)]]), /8 bytes are given to an array of shape \[3\]/]
]

describe("hostile files", () => {
  it.effect.each(hostile)("%s", ([, bytes, message]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(readAll(bytes))
      assert.instanceOf(error, FlaxFileError)
      assert.match(error.message, message)
      assert.include(error.message, "hostile.msgpack")
    }))
})

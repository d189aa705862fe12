/** Flax msgpack files: lengths that lie, types in each other's place, depth, chunked arrays. */
import { Effect } from "effect"
import * as FlaxCheckpoint from "../../../src/io/flax/FlaxCheckpoint.ts"
import { FlaxFileError } from "../../../src/io/flax/FlaxFileError.ts"
import type { ForeignWeights } from "../../../src/io/ForeignWeights.ts"
import { array, chunked, file, long, map } from "../../io/flaxFiles.ts"
import { onDisk } from "../../io/support.ts"
import { floats } from "../../io/torchFiles.ts"
import { mutate } from "../bytes.ts"
import { diskOf } from "../memory.ts"
import { type Draw, pick, type Reader, require } from "../Reader.ts"

const kernel = array([2, 3], "float32", floats(1, 2, 3, 4, 5, 6))
const tree = [
  ["blocks_0", map([["attn", map([["qkv", map([["kernel", kernel]])]])]])],
  ["proj_kernel", kernel],
  ["split", map([["kernel", chunked([3, 2], array([4], "float32", floats(1, 2, 3, 4)), array([2], "float32", floats(5, 6)))]])],
  ["half", array([2], "float16", Buffer.of(0, 0x3c, 0, 0xc0))]
] as const

const original = file(tree, [["step", array([], "int32", Buffer.of(9, 0, 0, 0), 3)], ["ema_params1", map(tree)]])

/** Beginnings of values: each kind, with the lengths at which readers break. */
const pieces: ReadonlyArray<(draw: Draw) => Buffer> = [
  (draw) => Buffer.concat([Buffer.of(pick(draw, [0xc6, 0xc9, 0xdb, 0xdd, 0xdf])), Buffer.of(pick(draw, [0, 0x7f, 0xff]), 0xff, 0xff, draw(256))]),
  (draw) => Buffer.of(pick(draw, [0xc5, 0xc8, 0xda, 0xdc, 0xde]), 0xff, draw(256)),
  (draw) => Buffer.alloc(1 + draw(3_000), pick(draw, [0x80, 0x90, 0x91, 0x81, 0xc0, 0xdd])),
  (draw) => Buffer.of(0xd4 + draw(5), draw(256)),
  (draw) => Buffer.of(draw(256)),
  () => map([["__msgpack_chunked_array__", Buffer.of(0xc3)], ["shape", map([["0", Buffer.of(0xcf, ...Buffer.alloc(8, 0x7f))]])]])
]

const splice = (draw: Draw): Uint8Array => {
  const at = draw(original.length)
  return Buffer.concat([original.subarray(0, at), pick(draw, pieces)(draw), original.subarray(at + draw(6))])
}

/** Hundreds of thousands of values of a byte each. */
const bomb = (draw: Draw): Buffer => {
  const count = 1 << (14 + draw(5))
  const value = pick(draw, [0x80, 0x90, 0xc0, 0xa0, 0x01])
  return file([["bulk", long(0xdd, count, Buffer.alloc(count, value))]])
}

const readAll = Effect.fnUntraced(function*(weights: ForeignWeights<FlaxFileError>) {
  for (const [name, { read, shape }] of weights) {
    const { length } = yield* read
    require(length === shape.reduce((a, b) => a * b, 1), `"${name}" has ${length} values for [${shape}]`)
  }
})

export const flax: Reader = {
  make: (draw) => draw(500) === 0 ? bomb(draw) : draw(2) === 0 ? mutate(original, draw) : splice(draw),
  read: (from) =>
    Effect.scoped(Effect.flatMap(FlaxCheckpoint.open("fuzz.msgpack"), ({ ema, model }) =>
      Effect.andThen(readAll(model), ema === undefined ? Effect.void : readAll(ema)))).pipe(onDisk(diskOf(from))),
  isTyped: (error) => error instanceof FlaxFileError
}

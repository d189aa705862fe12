/** Safetensors files: the length of the header, the header's JSON, the data. */
import { Effect } from "effect"
import { Safetensors } from "../../../src/io/index.ts"
import { onDisk } from "../../io/support.ts"
import { mutate } from "../bytes.ts"
import { type Json, mutateJson } from "../json.ts"
import { diskOf } from "../memory.ts"
import { type Draw, pick, type Reader, require } from "../Reader.ts"

type Header = { readonly [name: string]: Json }

const header: Header = {
  __metadata__: { format: "pt", note: "a text" },
  "blocks.0.attn.qkv.weight": { dtype: "F32", shape: [6, 4], data_offsets: [0, 96] },
  "blocks.0.norm": { dtype: "F16", shape: [8], data_offsets: [96, 112] },
  brain: { dtype: "BF16", shape: [2, 2], data_offsets: [112, 120] },
  counts: { dtype: "I64", shape: [2], data_offsets: [120, 136] },
  ids: { dtype: "I32", shape: [3, 1], data_offsets: [136, 148] },
  flags: { dtype: "BOOL", shape: [4], data_offsets: [148, 152] },
  bytes: { dtype: "U8", shape: [5], data_offsets: [152, 157] },
  nothing: { dtype: "F32", shape: [0, 7], data_offsets: [157, 157] }
}

/** The file of a header and its data; `length` is what it says of the header. */
export const fileOf = (json: string, data: Uint8Array, length = BigInt(Buffer.byteLength(json))): Uint8Array => {
  const first = Buffer.alloc(8)
  first.writeBigUInt64LE(BigInt.asUintN(64, length))
  return Buffer.concat([first, Buffer.from(json), data])
}

const data = Buffer.alloc(157, 0)
export const original = fileOf(JSON.stringify(header), data)

const lies = [0n, 1n, 8n, 100_000_001n, 1n << 31n, 1n << 32n, 1n << 53n, 1n << 63n, -1n]

export const makeSafetensors = (draw: Draw): Uint8Array => {
  switch (draw(4)) {
    case 0: return mutate(original, draw)
    case 1: return fileOf(JSON.stringify(header), data, pick(draw, lies))
    case 2: return mutate(fileOf(mutateJson(header, draw), data), draw)
    default: return fileOf(mutateJson(header, draw), data)
  }
}

/** Every tensor has as many values as its shape says. */
export const checkTensors = (tensors: Iterable<readonly [string, Safetensors.Tensor]>): void => {
  for (const [name, { data, shape }] of tensors) require(data.length === shape.reduce((a, b) => a * b, 1), `"${name}" has ${data.length} values for [${shape}]`)
}

export const safetensors: Reader = {
  make: makeSafetensors,
  read: (from) => Safetensors.readAll("fuzz.safetensors").pipe(Effect.map(checkTensors), onDisk(diskOf(from))),
  isTyped: (error) => error instanceof Safetensors.SafetensorsError
}

/** Files of torch.save: the archive with records that lie, and the pickle with any opcode anywhere, under a right checksum. */
import { Effect } from "effect"
import * as TorchCheckpoint from "../../../src/io/torch/TorchCheckpoint.ts"
import { TorchFileError } from "../../../src/io/torch/TorchFileError.ts"
import type { ForeignWeights } from "../../../src/io/ForeignWeights.ts"
import { onDisk } from "../../io/support.ts"
import { call, dictOf, type Entry, floats, op, pickle, tensor, tupleOf, zip } from "../../io/torchFiles.ts"
import { mutate } from "../bytes.ts"
import { diskOf } from "../memory.ts"
import { type Draw, pick, type Reader, require } from "../Reader.ts"

const matrix = tensor({ key: "0", elements: 6, shape: [2, 3], strides: [3, 1] })
const turned = tensor({ key: "0", elements: 6, shape: [3, 2], strides: [1, 3] })
const half = tensor({ key: "1", type: "HalfStorage", elements: 4, offset: 1, shape: [3], strides: [1] })

const body = pickle(dictOf({
  step: op.int(3),
  params: dictOf({ w: matrix, v: turned, h: half }),
  ema_params1: dictOf({ w: matrix, v: turned, h: half }),
  opt_state: dictOf({ state: op.dict, param_groups: Buffer.concat([op.list, op.mark, dictOf({ lr: op.float(0.1), params: op.list }), op.appends]) }),
  extra: Buffer.concat([op.list, op.mark, op.float(1), op.long(5), op.yes, op.none, tupleOf(op.int(-1)), op.appends])
}))

const entries = (data: Buffer): ReadonlyArray<Entry> => [
  { name: "checkpoint/data.pkl", data },
  { name: "checkpoint/byteorder", data: Buffer.from("little") },
  { name: "checkpoint/data/0", data: floats(1, 2, 3, 4, 5, 6) },
  { name: "checkpoint/data/1", data: Buffer.of(0, 0x3c, 0, 0xc0, 0, 0, 1, 0) },
  { name: "checkpoint/version", data: Buffer.from("3\n") }
]

const plain = zip(entries(body))
const wide = zip(entries(body), { zip64: true })

const u32 = (value: number): Buffer => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value >>> 0); return bytes }
const sizes = [0, 1, 4, 255, 65_535, 0x7fffffff, 0x80000000, 0xffffffff]

/** Pieces of pickles: all that a hostile one is made of. */
const pieces: ReadonlyArray<(draw: Draw) => Buffer> = [
  () => call("os", "system", op.text("exit 66")),
  () => call("builtins", "eval", op.text("1")),
  () => call("collections", "OrderedDict"),
  () => Buffer.concat([op.shortText("torch"), op.shortText("Size"), op.stackGlobal]),
  (draw) => tensor({ key: pick(draw, ["0", "1", "2", "../0"]), elements: pick(draw, sizes) | 0, shape: [pick(draw, sizes) | 0, 3], strides: [pick(draw, [0, 1, 3, -1]), 1], offset: draw(4) }),
  (draw) => Buffer.alloc(1 + draw(3_000), pick(draw, ["]", "}", ")", "(", "N", "2", "0", "1"])),
  (draw) => Buffer.concat([Buffer.of(pick(draw, [0x58, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x95, 0x42, 0x54, 0x71, 0x72, 0x6a, 0x68])), u32(pick(draw, sizes)), u32(0)]),
  (draw) => Buffer.of(draw(256)),
  (draw) => Buffer.of(0x94, 0x68, draw(8), 0x61),
  () => Buffer.concat([op.unit, op.reduce]),
  () => Buffer.concat([op.dict, op.build]),
  () => Buffer.from("cos\nsystem\n"), () => Buffer.from("ios\nsystem\n"), () => Buffer.from("Pid\n"), () => op.persistent, () => op.stop
]

const mutatePickle = (draw: Draw): Buffer => {
  if (draw(2) === 0) return Buffer.from(mutate(body, draw))
  const at = 2 + draw(body.length - 2)
  return Buffer.concat([body.subarray(0, at), pick(draw, pieces)(draw), body.subarray(at + draw(3))])
}

const names = ["checkpoint/data.pkl", "a/data.pkl", "../data.pkl", "/data.pkl", "checkpoint/data/0", "checkpoint\\data\\0", "C:/x", "", "checkpoint/", "checkpoint/./x"]

/** Megabytes of one opcode that makes values, packed into kilobytes. */
const bomb = (draw: Draw): Buffer => {
  const bulk = Buffer.from(pick(draw, ["]a", "}a", ")a", "Na", "]2ea", "(Kt0", "]0", "\u0094", "]\u00940"]), "latin1")
  const data = pickle(Buffer.concat([op.list, Buffer.alloc((1 << (16 + draw(6))) * bulk.length, bulk)]), 4)
  return zip(entries(data).map((entry, i) => i === 0 ? { ...entry, deflate: draw(2) === 0 } : entry))
}

/** One record that claims what is not so. */
const lie = (entry: Entry, draw: Draw): Entry => {
  const size = pick(draw, [...sizes, 2 ** 40, 2 ** 53])
  switch (draw(8)) {
    case 0: return { ...entry, claim: { size, packed: size } }
    case 1: return { ...entry, claim: { header: size } }
    case 2: return { ...entry, claim: { crc: draw(0xffffffff) } }
    case 3: return { ...entry, claim: { method: draw(16) } }
    case 4: return { ...entry, claim: { flags: 1 << draw(16) } }
    case 5: return { ...entry, localName: pick(draw, names) }
    case 6: return { ...entry, name: pick(draw, names) }
    default: return { ...entry, deflate: true, ...(draw(2) === 0 ? { claim: { size } } : {}) }
  }
}

const mutateArchive = (draw: Draw): Buffer => {
  const records = entries(draw(3) === 0 ? mutatePickle(draw) : body)
  const at = draw(records.length)
  const changed = draw(4) === 0 ? [...records, records[at]!] : records.map((entry, i) => i === at ? lie(entry, draw) : entry)
  const zip64 = changed.some(({ claim }) => Math.max(claim?.size ?? 0, claim?.header ?? 0) > 0xffffffff) || draw(4) === 0
  return zip(changed, { zip64 })
}

const readAll = Effect.fnUntraced(function*(weights: ForeignWeights<TorchFileError>) {
  for (const [name, { read, shape }] of weights) {
    const { length } = yield* read
    require(length === shape.reduce((a, b) => a * b, 1), `"${name}" has ${length} values for [${shape}]`)
  }
})

export const torch: Reader = {
  make: (draw) => {
    if (draw(500) === 0) return bomb(draw)
    switch (draw(3)) {
      case 0: return mutate(draw(2) === 0 ? plain : wide, draw, wide)
      case 1: return zip(entries(mutatePickle(draw)))
      default: return mutateArchive(draw)
    }
  },
  read: (from) =>
    Effect.scoped(Effect.flatMap(TorchCheckpoint.open("fuzz.pt"), ({ ema, model }) =>
      Effect.andThen(readAll(model), ema === undefined ? Effect.void : readAll(ema)))).pipe(onDisk(diskOf(from))),
  isTyped: (error) => error instanceof TorchFileError
}

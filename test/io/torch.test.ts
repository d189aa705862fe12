/** PyTorch files: the reference's own checkpoint, views of every kind, plain values. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import * as TorchCheckpoint from "../../src/io/torch/TorchCheckpoint.ts"
import * as TorchFile from "../../src/io/torch/TorchFile.ts"
import { failing } from "../../src/io/torch/TorchFileError.ts"
import { isContiguous, materialize } from "../../src/io/torch/materialize.ts"
import { type PickleDict, PickleTuple, type TorchTensor } from "../../src/io/torch/pickleValues.ts"
import { unpickle } from "../../src/io/torch/unpickle.ts"
import { fixture } from "../support/fixtures.ts"
import { ckptCase, ckptPath } from "./ckptCases.ts"
import { numbers, onDisk } from "./support.ts"
import { archive, call, dictOf, diskOf, floats, op, pickle, tensor, tupleOf, zip } from "./torchFiles.ts"

const sha256 = (values: Float32Array) => createHash("sha256").update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).digest("hex")

/** Opens bytes as a file of torch.save and uses it. */
const withFile = <A, E>(bytes: Uint8Array, use: (file: TorchFile.TorchFile) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(TorchFile.open("hostile.pt"), use)).pipe(onDisk(diskOf(bytes)))

const readOne = (bytes: Uint8Array) => withFile(bytes, (file) => file.read(file.value as TorchTensor, "it"))

const value = (bytes: Buffer) => unpickle(bytes, failing("hostile.pt"))

describe("the reference's checkpoint", () => {
  it.effect("holds every tensor, its average and its momentum, bit for bit", () =>
    Effect.scoped(Effect.gen(function*() {
      const { scalars } = ckptCase("ckpt_torch_expected")
      const { ema, model, notes, optimizer, step } = yield* TorchCheckpoint.open(ckptPath("ckpt_torch"))
      const found: Record<string, unknown> = {}
      for (const [section, weights] of [["params", model], ["ema_params1", ema!]] as const) {
        for (const [name, { read, shape }] of weights) found[`${section}.${name}`] = { shape, sha256: sha256(yield* read) }
      }
      const expected = Object.fromEntries(Object.entries(scalars.tensor_digests).map(([name, { sha256, shape }]) => [name, { shape, sha256 }]))
      assert.strictEqual(Object.keys(expected).length, 94)
      assert.deepStrictEqual(found, expected)
      assert.strictEqual(step, 3)
      assert.deepStrictEqual(notes, [])
      assert.strictEqual(optimizer!.kind, "muon")
      assert.strictEqual(optimizer!.updates, 3)
      const owners = [...new Set(Array.from(optimizer!.moments.keys(), (name) => name.replace(/^\w+\//, "")))]
      assert.deepStrictEqual(owners, scalars.opt_param_index_to_name)
      assert.deepStrictEqual(yield* optimizer!.moments.get("momentum/proj_kernel")!.read, fixture("ckpt_torch_expected").floats("opt.state0.momentum_buffer"))
    })))
})

describe("tensors", () => {
  const storages = { 7: floats(...Array.from({ length: 12 }, (_, i) => i)) }
  const cases: ReadonlyArray<readonly [string, Parameters<typeof tensor>[0], ReadonlyArray<number>]> = [
    ["a whole storage", { key: "7", elements: 12, shape: [3, 4], strides: [4, 1] }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]],
    ["a transposed view", { key: "7", elements: 12, shape: [4, 3], strides: [1, 4] }, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]],
    ["a slice of columns", { key: "7", elements: 12, offset: 1, shape: [3, 2], strides: [4, 2] }, [1, 3, 5, 7, 9, 11]],
    ["rows from the middle", { key: "7", elements: 12, offset: 4, shape: [1, 4], strides: [99, 1] }, [4, 5, 6, 7]],
    ["an expanded row", { key: "7", elements: 12, offset: 2, shape: [3, 2], strides: [0, 1] }, [2, 3, 2, 3, 2, 3]],
    ["three axes in another order", { key: "7", elements: 12, shape: [2, 2, 3], strides: [1, 6, 2] }, [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]],
    ["a number", { key: "7", elements: 12, offset: 5, shape: [], strides: [] }, [5]],
    ["nothing", { key: "7", elements: 12, offset: 12, shape: [0, 3], strides: [3, 1] }, []]
  ]
  for (const [title, plan, expected] of cases) {
    it.effect(title, () =>
      Effect.gen(function*() {
        const { data, shape } = yield* readOne(archive(pickle(tensor(plan)), storages))
        assert.deepStrictEqual(shape, plan.shape)
        assert.deepStrictEqual(Array.from(data), expected)
      }))
  }

  it("views are gathered as an index by index definition says", () => {
    const random = numbers(3)
    const values = Float32Array.from({ length: 500 }, (_, i) => i)
    for (let round = 0; round < 200; round++) {
      const shape = Array.from({ length: random(4) }, () => 1 + random(4))
      const strides = shape.map(() => random(20))
      const offset = random(100)
      const indices = shape.reduce<ReadonlyArray<number>>((all, size, axis) => all.flatMap((at) => Array.from({ length: size }, (_, i) => at + i * strides[axis]!)), [offset])
      assert.deepStrictEqual([...materialize(values, { offset, shape, strides })], [...indices])
      if (isContiguous(shape, strides)) assert.deepStrictEqual([...indices], indices.map((_, i) => offset + i))
    }
  })

  const typed: ReadonlyArray<readonly [string, string, Buffer, Float32Array | Int32Array]> = [
    ["HalfStorage", "F16", Buffer.from(Uint16Array.of(0x3c00, 0xc000).buffer), Float32Array.of(1, -2)],
    ["BFloat16Storage", "BF16", Buffer.from(Uint16Array.of(0x3f80, 0xc000).buffer), Float32Array.of(1, -2)],
    ["DoubleStorage", "F64", Buffer.from(Float64Array.of(0.1, -2).buffer), Float32Array.of(0.1, -2)],
    ["LongStorage", "I64", Buffer.from(BigInt64Array.of(-5n, 7n).buffer), Int32Array.of(-5, 7)],
    ["IntStorage", "I32", Buffer.from(Int32Array.of(-5, 7).buffer), Int32Array.of(-5, 7)]
  ]
  it.effect.each(typed)("%s", ([type, , bytes, expected]) =>
    Effect.gen(function*() {
      const { data } = yield* readOne(archive(pickle(tensor({ key: "0", type, elements: 2, shape: [2], strides: [1] })), { 0: bytes }))
      assert.deepStrictEqual(data, expected)
    }))

  it.effect("numbers that 32 bits do not hold, and types that are no weights, are refused", () =>
    Effect.gen(function*() {
      const one = (type: string, bytes: Buffer) => Effect.flip(readOne(archive(pickle(tensor({ key: "0", type, elements: 1, shape: [1], strides: [1] })), { 0: bytes })))
      assert.match((yield* one("DoubleStorage", Buffer.from(Float64Array.of(1e300).buffer))).message, /element 0 is 1e\+300/)
      assert.match((yield* one("LongStorage", Buffer.from(BigInt64Array.of(1n << 40n).buffer))).message, /more than 32 bits/)
      assert.match((yield* one("BoolStorage", Buffer.of(1))).message, /type BOOL are not read/)
    }))

  it.effect("zip64 archives, deflated small records, parameters and sizes", () =>
    Effect.gen(function*() {
      const plan = { key: "0", elements: 2, shape: [2], strides: [1] }
      const wide = yield* readOne(archive(pickle(call("torch._utils", "_rebuild_parameter", tensor(plan), op.yes, call("collections", "OrderedDict"))), { 0: floats(1, 2) }, [], { zip64: true }))
      assert.deepStrictEqual(wide.data, Float32Array.of(1, 2))
      const packed = zip([{ name: "a/data.pkl", data: pickle(call("torch", "Size", tupleOf(op.int(3)))), deflate: true }])
      assert.deepStrictEqual(yield* withFile(packed, ({ value }) => Effect.succeed(value)), new PickleTuple([3]))
    }))
})

describe("plain values", () => {
  it("of protocol 2", () => {
    const dict = value(pickle(dictOf({ a: op.int(-3), b: op.float(0.5), c: op.none, d: op.yes, e: op.long(0xff), f: op.long(0, 0, 0, 0, 0, 0, 0, 0x7f) }))) as PickleDict
    assert.deepStrictEqual([...dict.values()], [-3, 0.5, null, true, -1, 0x7f00000000000000n])
  })
  it("of protocol 4: frames, short texts, memo", () => {
    const body = Buffer.concat([op.list, op.memoize, op.mark, op.shortText("x"), op.memoize, op.get(1), op.shortText("collections"), op.shortText("OrderedDict"), op.stackGlobal, op.unit, op.reduce, op.appends, op.stop])
    assert.deepStrictEqual(value(Buffer.concat([op.proto(4), op.frame(body.length), body])), ["x", "x", new Map()])
  })
  it("a list that holds itself is a value like any other", () => {
    const list = value(pickle([op.list, op.put(0), op.get(0), op.append])) as Array<unknown>
    assert.strictEqual(list[0], list)
  })
})

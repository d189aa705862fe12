/** Whose momentum is whose: the optimiser's state of a PyTorch checkpoint goes by index. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as TorchCheckpoint from "../../src/io/torch/TorchCheckpoint.ts"
import { onDisk } from "./support.ts"
import { archive, diskOf, floats, op, pickle, tensor, dictOf, tupleOf } from "./torchFiles.ts"

/** A vector between two matrices: named order is not the optimiser's order. */
const shapes: Readonly<Record<string, ReadonlyArray<number>>> = { small: [2, 2], bias: [3], large: [3, 2] }

/** Every tensor gets a storage of its own whose numbers all are its key. */
const plan = () => {
  const storages: Record<string, Buffer> = {}
  const of = (shape: ReadonlyArray<number>, value?: number) => {
    const key = String(Object.keys(storages).length)
    const elements = shape.reduce((a, b) => a * b, 1)
    storages[key] = floats(...new Float32Array(elements).fill(value ?? Number(key)))
    return tensor({ key, elements, shape, strides: shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1)) })
  }
  return { of, storages }
}

const numbersDict = (entries: ReadonlyArray<readonly [number, Buffer]>) => Buffer.concat([op.dict, op.mark, ...entries.flatMap(([key, value]) => [op.int(key), value]), op.setItems])
const listOf = (...items: ReadonlyArray<Buffer>) => Buffer.concat([op.list, op.mark, ...items, op.appends])
const indices = (first: number, count: number) => listOf(...Array.from({ length: count }, (_, i) => op.int(first + i)))
const muonGroups = listOf(dictOf({ use_muon: op.yes, params: indices(0, 2) }), dictOf({ use_muon: op.no, betas: tupleOf(op.float(0.9), op.float(0.999)), params: indices(2, 1) }))

const open = (optimizer: (of: ReturnType<typeof plan>["of"]) => Buffer) => {
  const { of, storages } = plan()
  const params = dictOf(Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, of(shape)])))
  const bytes = archive(pickle(dictOf({ params, opt_state: optimizer(of) })), storages)
  return Effect.scoped(Effect.gen(function*() {
    const { notes, optimizer } = yield* TorchCheckpoint.open("optimizer.pt")
    const values: Record<string, number> = {}
    for (const [name, { read }] of optimizer?.moments ?? []) values[name] = (yield* read)[0]!
    return { notes, kind: optimizer?.kind, updates: optimizer?.updates, values }
  })).pipe(onDisk(diskOf(bytes)))
}

const matrix = (of: ReturnType<typeof plan>["of"], shape: ReadonlyArray<number>, value: number, step = 5) => dictOf({ momentum_buffer: of(shape, value), step: op.int(step) })
const vector = (of: ReturnType<typeof plan>["of"], shape: ReadonlyArray<number>, value: number, step: Buffer = op.int(5)) => dictOf({ exp_avg: of(shape, value), exp_avg_sq: of(shape, value + 0.5), step })

describe("the optimiser's state", () => {
  it.effect("Muon: matrices first, then the rest, each in the order of their names", () =>
    Effect.gen(function*() {
      const found = yield* open((of) => dictOf({ state: numbersDict([[0, matrix(of, [2, 2], 10)], [1, matrix(of, [3, 2], 11)], [2, vector(of, [3], 12)]]), param_groups: muonGroups }))
      assert.deepStrictEqual(found, { notes: [], kind: "muon", updates: 5, values: { "momentum/small": 10, "momentum/large": 11, "mean/bias": 12, "variance/bias": 12.5 } })
    }))

  it.effect("AdamW: the order of the names; counts its updates in tensors", () =>
    Effect.gen(function*() {
      const found = yield* open((of) =>
        dictOf({
          state: numbersDict(Object.values(shapes).map((shape, i) => [i, vector(of, shape, 10 + i, of([], 7))])),
          param_groups: listOf(dictOf({ lr: op.float(1e-3), params: indices(0, 3) }))
        }))
      assert.strictEqual(found.kind, "adamw")
      assert.strictEqual(found.updates, 7)
      assert.deepStrictEqual(found.values, { "mean/small": 10, "variance/small": 10.5, "mean/bias": 11, "variance/bias": 11.5, "mean/large": 12, "variance/large": 12.5 })
    }))

  const leftOut: ReadonlyArray<readonly [string, (of: ReturnType<typeof plan>["of"]) => Buffer, RegExp]> = [
    ["sorted by size, as with several processes", (of) => dictOf({ state: numbersDict([[0, matrix(of, [3, 2], 11)], [1, matrix(of, [2, 2], 10)], [2, vector(of, [3], 12)]]), param_groups: muonGroups }), /entry 0 does not fit small/],
    ["one process's share", (of) => dictOf({ state: numbersDict([[0, matrix(of, [2, 2], 10)], [2, vector(of, [3], 12)]]), param_groups: muonGroups }), /lacks parameters/],
    ["no step made", () => dictOf({ state: op.dict, param_groups: muonGroups }), /no moments yet/],
    ["different counts", (of) => dictOf({ state: numbersDict([[0, matrix(of, [2, 2], 10, 4)], [1, matrix(of, [3, 2], 11)], [2, vector(of, [3], 12)]]), param_groups: muonGroups }), /do not agree/],
    ["another optimiser", () => dictOf({ state: op.dict, param_groups: listOf(dictOf({ params: indices(1, 3) })) }), /neither that of the reference's Muon nor that of AdamW/],
    ["something else", () => listOf(op.int(1)), /neither/]
  ]
  it.effect.each(leftOut)("%s: left out, and said so", ([, optimizer, why]) =>
    Effect.gen(function*() {
      const { kind, notes, values } = yield* open(optimizer)
      assert.deepStrictEqual([kind, values], [undefined, {}])
      assert.strictEqual(notes.length, 1)
      assert.match(notes[0]!, why)
    }))
})

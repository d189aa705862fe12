/** `t5_forward`: the encoder without a mask, with each kind of mask, and beyond the farthest bucket of positions. */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { Backend } from "../../../src/model/Backend.ts"
import { encode, relativeBucket } from "../../../src/model/T5Encoder.ts"
import { encoderMask } from "../../../src/streams/embed.ts"
import type { LabelledSequence } from "../../../src/streams/index.ts"
import type { Fixture } from "../Directory.ts"
import type { Finding, RunCase } from "../Finding.ts"
import { referenceT5 } from "../reference.ts"
import { rowAt } from "../rows.ts"

const passes: ReadonlyArray<readonly [output: string, ids: string, mask?: string]> = [
  ["out_nomask", "ids"],
  ["out_mask2d", "ids", "mask2d"],
  ["out_mask3d", "ids", "mask3d"],
  ["out_long", "ids_long"]
]

const sequencesOf = (recorded: Fixture): ReadonlyArray<LabelledSequence> => {
  const ids = recorded.integers("ids")
  const conditions = recorded.integers("cond_lens")
  const totals = recorded.integers("total_lens")
  const length = recorded.shape("ids")[1]!
  return Array.from(totals, (valid, index) => ({ ids: rowAt(ids, index, length), length: valid, conditionLength: conditions[index]!, index, labelDropped: false }))
}

/** 1 at the first `count` of `length` positions of each row. */
const leading = (counts: ReadonlyArray<number>, length: number): Float32Array =>
  Float32Array.from({ length: counts.length * length }, (_, i) => Number(i % length < counts[Math.floor(i / length)]!))

/** The masks as production derives them from the two lengths of a row. */
const masks = (recorded: Fixture): ReadonlyArray<Finding> => {
  const rows = sequencesOf(recorded)
  const length = recorded.shape("ids")[1]!
  const ours: ReadonlyArray<readonly [string, Float32Array | undefined]> = [
    ["mask3d", encoderMask(rows, length)],
    ["attention_mask", leading(rows.map((row) => row.length), length)],
    ["cond_seq_mask", leading(rows.map(({ conditionLength }) => conditionLength), length)]
  ]
  return ours.filter(([array]) => recorded.has(array)).map(([array, actual]) => {
    const expected = recorded.floats(array)
    return { array, quantity: "exact", actual: actual ?? expected.map(() => 1), expected }
  })
}

export const encoderCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const recorded = directory.fixture(each.name)
    const { config, tensors } = referenceT5(directory)
    const outputs = yield* Effect.forEach(passes.filter(([output]) => recorded.has(output)), ([array, ids, mask]) =>
      Effect.map(
        backend.kernel(array, () => {
          const parameters = Object.fromEntries(tensors.map(({ data, name, shape }) => [name, tf.tensor(data, [...shape])]))
          const visible = mask === undefined ? undefined : recorded.tensor<tf.Tensor3D>(mask)
          return encode(parameters, config, recorded.tensor(ids), visible).dataSync() as Float32Array
        }),
        (actual): Finding => ({ array, quantity: "encoder", actual, expected: recorded.floats(array) })
      ))
    const { relative_attention_max_distance: farthest, relative_attention_num_buckets: buckets } = config
    const bucket: Finding = {
      array: "rel_bucket",
      quantity: "exact",
      actual: Array.from(recorded.integers("rel_pos"), (distance) => relativeBucket(distance, buckets, farthest)),
      expected: recorded.integers("rel_bucket")
    }
    return [...outputs, ...masks(recorded), bucket]
  })

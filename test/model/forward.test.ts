/** The network and the encoder against the reference, on the native engine and on WebAssembly. */
import * as tf from "@tensorflow/tfjs-core"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { activations } from "../../bench/parity/cases/forward.ts"
import { withElf } from "../../bench/parity/device.ts"
import { trunk } from "../../src/model/Elf.ts"
import { onEngines } from "../support/backend.ts"
import { casesWith, directory, fixture } from "../support/fixtures.ts"
import { assertCase } from "../support/parity.ts"
import { referenceWeights } from "../support/reference.ts"

const weights = referenceWeights("model")
const { config } = weights

await onEngines(["tensorflow", "wasm"], (it) => {
  for (const name of casesWith("fwd_")) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { rows } = yield* assertCase(name)
        assert.strictEqual(rows.length, fixture(name).names.filter((array) => name === "fwd_trace" || /^(out|logits)$/.test(array)).length)
      }))
  }

  it.effect("fwd_trace has every activation that the network shows", () =>
    Effect.gen(function*() {
      const seen = yield* activations(directory, "fwd_mixed")
      assert.deepStrictEqual([...seen.keys()].sort(), [...fixture("fwd_trace").names].sort())
    }))

  it.effect("t5_forward: without a mask, with each kind of mask, and beyond the farthest bucket", () =>
    Effect.gen(function*() {
      const { rows } = yield* assertCase("t5_forward")
      const arrays = rows.map(({ array }) => array)
      assert.includeMembers(arrays, ["out_nomask", "out_mask2d", "out_mask3d", "out_long", "rel_bucket", "mask3d"])
    }))

  it.effect("refuses sequences of another length, and a network's missing scale", () =>
    Effect.gen(function*() {
      const refused = (length: number, scaled: boolean) =>
        Effect.flip(withElf("refused", weights, (elf) => {
          const one = tf.tensor1d([1])
          trunk(elf, { z: tf.zeros([1, length, config.textWidth]), t: one, ...(scaled ? { selfConditionScale: one } : {}) })
        }))
      const short = yield* refused(5, true)
      assert.match(short.message, /sequences have 5 positions, the network has 24/)
      const unscaled = yield* refused(config.length, false)
      assert.match(unscaled.message, /needs a self-conditioning scale/)
    }))
})

/** The network's layers, one by one, and what surrounds them, against the reference. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { testEngine } from "../support/backend.ts"
import { fixture } from "../support/fixtures.ts"
import { assertCase } from "../support/parity.ts"

layer(testEngine)("units", (it) => {
  it.effect("every layer, the sinusoids of wide angles too; only what this library does not have is left out", () =>
    Effect.gen(function*() {
      const { leftOut, rows } = yield* assertCase("units")
      assert.strictEqual(fixture("units").floats("tse.t").at(-1), 1000)
      const arrays = new Set(rows.map(({ array }) => array))
      assert.includeMembers([...arrays], [
        "rope.cos", "rope.sin", "rope.y", "rotate_half.y", "tse.emb256", "tse.emb7", "te.out", "rms.y", "swiglu.y", "final.y", "bottleneck.y",
        "attn.y", "attn.y_norope", "attn.y_mask2d", "attn.y_mask3d", "block.y"
      ])
      assert.deepStrictEqual(leftOut.map(({ array }) => array), ["rope2.cos", "rope2.sin", "shift.y3d"])
    }))
})

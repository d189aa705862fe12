/** A mask of pairs in passes of a mask of keys: the law is that attention, layer upon layer, gives the same numbers. */
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { maskPasses } from "../../src/model/maskPasses.ts"
import type { LabelledSequence } from "../../src/streams/Sequence.ts"
import { encoderMask } from "../../src/streams/embed.ts"

/** Three layers of something that mixes what each query sees, and is different for each set of keys. */
const attend = (states: ReadonlyArray<number>, sees: (query: number, key: number) => boolean): ReadonlyArray<number> => {
  let current = states
  for (let layer = 0; layer < 3; layer++) {
    current = current.map((own, query) => current.reduce((sum, other, key) => (sees(query, key) ? sum + Math.sin(other * (1 + 0.1 * (key - query))) : sum), own / 2))
  }
  return current
}

const row = fc.integer({ min: 2, max: 8 }).chain((positions) =>
  fc.record({ length: fc.integer({ min: 0, max: positions }), conditionShare: fc.double({ min: 0, max: 1, noNaN: true }), labelDropped: fc.boolean() }).map(
    ({ conditionShare, labelDropped, length }): LabelledSequence => ({
      ids: new Int32Array(positions), length, conditionLength: Math.round(conditionShare * length), labelDropped, index: 0
    })
  ))

const states = (positions: number) => Array.from({ length: positions }, (_, i) => Math.cos(3 * i + 1))

const seesByPairs = (mask: Float32Array, positions: number) => (query: number, key: number) => mask[query * positions + key] === 1

describe("maskPasses", () => {
  it("gives the numbers of the mask of pairs, or says that it cannot", () => {
    fc.assert(fc.property(row, (each) => {
      const positions = each.ids.length
      const mask = encoderMask([each], positions) ?? new Float32Array(positions ** 2).fill(1)
      const split = maskPasses(mask, 1, positions)
      const seesItsCondition = each.conditionLength > 0 && each.conditionLength < each.length && !each.labelDropped
      assert.strictEqual(!("take" in split), seesItsCondition, "refused exactly where the text sees its condition")
      if (!("take" in split)) return
      const expected = attend(states(positions), seesByPairs(mask, positions))
      const passes = split.rows.map((_, pass) => attend(states(positions), (_query, key) => split.keys[pass * positions + key] === 1))
      split.take.forEach((pass, position) => {
        if (pass === -1) assert.isTrue(mask.subarray(position * positions, (position + 1) * positions).every((seen) => seen === 0))
        else assert.strictEqual(passes[pass]![position], expected[position])
      })
    }), { numRuns: 500 })
  })

  it("says which query sees a key that sees other keys", () => {
    const mask = encoderMask([{ ids: new Int32Array(4), length: 4, conditionLength: 2, labelDropped: false, index: 0 }], 4)!
    assert.deepStrictEqual(maskPasses(mask, 1, 4), { row: 0, query: 2, key: 0 })
  })

  it("any mask of pairs: never other numbers than its own", () => {
    fc.assert(fc.property(fc.integer({ min: 2, max: 4 }).chain((n) => fc.array(fc.constantFrom(0, 1), { minLength: n * n, maxLength: n * n })), (bits) => {
      const positions = Math.sqrt(bits.length)
      const mask = Float32Array.from(bits)
      const split = maskPasses(mask, 1, positions)
      if (!("take" in split)) return
      const expected = attend(states(positions), seesByPairs(mask, positions))
      split.rows.forEach((_, pass) => {
        const found = attend(states(positions), (_query, key) => split.keys[pass * positions + key] === 1)
        split.take.forEach((taken, position) => { if (taken === pass) assert.strictEqual(found[position], expected[position]) })
      })
    }), { numRuns: 500 })
  })
})

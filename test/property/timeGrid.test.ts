import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { ArgumentError, Random, TimeDistribution, TimeGrid } from "../../src/flow/index.ts"
import { seed } from "../support/arbitraries.ts"

const steps = fc.integer({ min: 1, max: 80 })

const isGrid = (grid: ReadonlyArray<TimeGrid.TimeStep>, count: number) => {
  assert.strictEqual(grid.length, count)
  assert.strictEqual(grid[0]!.t, 0)
  assert.strictEqual(grid.at(-1)!.tNext, 1)
  grid.forEach(({ index, last, t, tNext }, i) => {
    assert.isTrue(t <= tNext)
    assert.strictEqual(index, i)
    assert.strictEqual(last, i === count - 1)
    if (i > 0) assert.strictEqual(t, grid[i - 1]!.tNext)
  })
}

describe("time grids are sorted, start at 0, end at 1 and mark the last step", () => {
  it("uniform", () => {
    fc.assert(fc.property(steps, (count) => {
      const grid = TimeGrid.uniform(count)
      isGrid(grid, count)
      grid.forEach(({ t, tNext }) => assert.closeTo(tNext - t, 1 / count, 1e-6))
    }))
  })

  it("logitNormal, for any seed, and another index is another grid", () => {
    fc.assert(fc.property(steps, seed, fc.nat(), (count, seed, index) => {
      const grid = TimeGrid.logitNormal({ steps: count, seed, index })
      isGrid(grid, count)
      assert.deepStrictEqual(TimeGrid.logitNormal({ steps: count, source: Random.keyed(seed), index }), grid)
      if (count > 1) assert.notDeepEqual(TimeGrid.logitNormal({ steps: count, seed, index: index + 1 }), grid)
    }))
  })

  it("logitNormal is dense where its mean says", () => {
    const times = TimeGrid.logitNormal({ steps: 4001, seed: 7, mean: -1.5, standardDeviation: 0.8 }).map(({ t }) => t)
    assert.closeTo(times[2000]!, 1 / (1 + Math.exp(1.5)), 0.01)
    assert.closeTo(times[Math.round(4001 * 0.8413)]!, 1 / (1 + Math.exp(0.7)), 0.02)
  })
})

describe("refused", () => {
  it("fewer than one step, and half a step", () => {
    for (const count of [0, -1, 1.5, NaN, Infinity]) {
      assert.throws(() => TimeGrid.uniform(count), ArgumentError, /steps must be an integer ≥ 1/)
      assert.throws(() => TimeGrid.logitNormal({ steps: count, seed: 0 }), ArgumentError, /steps must be an integer ≥ 1/)
    }
  })

  it("times that are unsorted or do not go from 0 to 1", () => {
    for (const times of [[], [1], [0, 0.5], [0.1, 1], [0, 0.6, 0.5, 1], [0, NaN, 1]]) {
      assert.throws(() => TimeGrid.fromTimes(times), ArgumentError, /sorted, with first 0 and last 1/)
    }
  })

  it("a standard deviation below 0 and a mean that is not finite", () => {
    assert.throws(() => TimeDistribution.logitNormal({ mean: 0, standardDeviation: -1 }), /finite and ≥ 0, but it is -1/)
    assert.throws(() => TimeDistribution.logitNormal({ mean: NaN, standardDeviation: 1 }), /mean must be finite/)
  })
})

describe("time distributions", () => {
  it("stay in [0, 1] and are the image of their draw", () => {
    fc.assert(fc.property(seed, fc.float({ min: -4, max: 4, noNaN: true }), (seed, mean) => {
      const source = Random.keyed(seed), key = { purpose: "time", index: 3 }
      for (const law of [TimeDistribution.uniform, TimeDistribution.logitNormal({ mean, standardDeviation: 0.8 })]) {
        const times = TimeDistribution.sample(law, source, key, 20)
        assert.isTrue(times.every((t) => t >= 0 && t <= 1))
        assert.deepStrictEqual(times, source[law.draw](key, 20).map(law.fromDraw))
      }
    }))
  })
})

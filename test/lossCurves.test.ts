/** The statistics that bench/loss-curves judges by. */
import { describe, expect, it } from "vitest"
import { deviation, pValue, splits, twoSided, within } from "../bench/loss-curves/statistics.ts"

describe("the comparison of loss curves", () => {
  it("p-values are those of the table of Student's law with 4 degrees of freedom", () => {
    const table = [[0.741, 0.5], [2.132, 0.1], [2.776, 0.05], [4.604, 0.01], [8.61, 0.001]] as const
    for (const [t, p] of table) {
      expect(Math.abs(twoSided(t) - p) / p).toBeLessThan(1e-3)
      expect(twoSided(-t)).toBe(twoSided(t))
    }
    expect(twoSided(0)).toBe(1)
  })

  it("the deviation is that of a run about its own side", () => {
    expect(deviation([1, 2, 3], [11, 12, 13])).toBeCloseTo(1, 12)
    expect(pValue([1, 2, 3], [1.5, 2.5, 3.5])).toBeCloseTo(twoSided(0.5 / Math.sqrt(2 / 3)), 12)
    expect(pValue([1, 2, 3], [11, 12, 13])).toBeLessThan(0.001)
  })

  it("a mean lies within a spread that is widened by half on either side", () => {
    expect(within([3.9], [1, 2, 3])).toBe(true)
    expect(within([4.1], [1, 2, 3])).toBe(false)
    expect(within([-0.1], [1, 2, 3])).toBe(false)
  })

  it("six runs part into two threes in ten ways, the first as they are", () => {
    expect(splits).toHaveLength(10)
    expect(splits[0]).toEqual([[0, 1, 2], [3, 4, 5]])
    expect(new Set(splits.map(([first]) => first.join())).size).toBe(10)
    for (const [first, second] of splits) expect([...first, ...second].toSorted()).toEqual([0, 1, 2, 3, 4, 5])
  })
})

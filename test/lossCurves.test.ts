/** The statistics that bench/loss-curves judges by. */
import { describe, expect, it } from "vitest"
import { deviation, pValue, splits, twoSided, within } from "../bench/loss-curves/statistics.ts"

describe("the comparison of loss curves", () => {
  it("p-values are those of the table of Student's law", () => {
    const table = [[4, 0.741, 0.5], [4, 2.776, 0.05], [4, 8.61, 0.001], [2, 4.303, 0.05], [10, 2.228, 0.05], [10, 3.169, 0.01], [30, 2.042, 0.05]] as const
    for (const [freedom, t, p] of table) {
      expect(Math.abs(twoSided(t, freedom) - p) / p).toBeLessThan(1e-3)
      expect(twoSided(-t, freedom)).toBe(twoSided(t, freedom))
    }
    expect(twoSided(0, 10)).toBe(1)
  })

  it("the deviation is that of a run about its own side", () => {
    expect(deviation([1, 2, 3], [11, 12, 13])).toBeCloseTo(1, 12)
    expect(pValue([1, 2, 3], [1.5, 2.5, 3.5])).toBeCloseTo(twoSided(0.5 / Math.sqrt(2 / 3), 4), 12)
    expect(pValue([1, 2, 3], [11, 12, 13])).toBeLessThan(0.001)
  })

  it("a mean lies within a spread up to its ends", () => {
    expect(within([2.9, 3.1], [1, 2, 3])).toBe(true)
    expect(within([3.1], [1, 2, 3])).toBe(false)
    expect(within([0.9], [1, 2, 3])).toBe(false)
  })

  it("runs part into two halves in half of (2n choose n) ways, the first as they are", () => {
    for (const [side, ways] of [[1, 1], [2, 3], [3, 10], [6, 462]] as const) {
      const all = splits(side)
      expect(all).toHaveLength(ways)
      expect(all[0]).toEqual([Array.from({ length: side }, (_, i) => i), Array.from({ length: side }, (_, i) => side + i)])
      expect(new Set(all.map(([first]) => first.join())).size).toBe(ways)
      for (const [first, second] of all) expect([...first, ...second].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 2 * side }, (_, i) => i))
    }
  })
})

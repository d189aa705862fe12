/** What is drawn: a panel each, a legend where panels show different series, and nothing outside of a panel. */
import { describe, expect, it } from "vitest"
import { chart, linear, type Panel, perplexityAxis, type Series } from "../../src/run/evaluation/chart.ts"

const series = (label: string): Series => ({
  label,
  marks: [{ x: 3.5, y: 900, label: "2" }, { x: 3.8, y: 2000, label: "1" }],
  dots: [{ x: 3.4, y: 800 }, { x: 3.6, y: 1000 }, { x: 3.8, y: 2000 }]
})

const panel = (title: string, ...shown: ReadonlyArray<Series>): Panel =>
  ({ title, series: shown, x: linear([3.4, 3.8]), y: perplexityAxis([800, 2000]), xTitle: "entropy", yardstick: { x: 3.6, y: 1000 } })

const counted = (svg: string, pattern: RegExp): number => Array.from(svg.matchAll(pattern)).length

describe("a chart", () => {
  it("has a panel for each finding, as wide as they are, with every mark, dot and label", () => {
    const svg = chart([panel("first", series("a")), panel("second", series("a")), panel("third", series("a"))], "footer")
    expect(counted(svg, /font-weight="bold"/g)).toBe(3)
    expect(counted(svg, /r="2\.5"/g)).toBe(9)
    expect(counted(svg, /r="4"/g)).toBe(3 * 2 + 1)
    expect(svg).toMatch(/first[\s\S]*second[\s\S]*third[\s\S]*footer/)
    const width = Number(/width="(\d+)"/.exec(svg)![1])
    const across = Array.from(svg.matchAll(/cx="([\d.]+)"/g), ([, x]) => Number(x))
    expect(Math.max(...across)).toBeLessThan(width)
    expect(Math.max(...across)).toBeGreaterThan((2 / 3) * width)
  })

  it("has one legend where the panels show the same series, and one each where they do not", () => {
    const legend = />same<\/text>/g
    expect(counted(chart([panel("1", series("same")), panel("2", series("same"))], ""), legend)).toBe(1)
    expect(counted(chart([panel("1", series("same")), panel("2", series("same"), series("other"))], ""), legend)).toBe(2)
  })

  it("puts less perplexity lower and less entropy further left, and escapes words", () => {
    const svg = chart([panel("a < b & c", series("a"))], "")
    const [first, second] = Array.from(svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)" r="4" fill="#0072b2"\/><text/g), ([, x, y]) => ({ x: Number(x), y: Number(y) }))
    expect(first!.x).toBeLessThan(second!.x)
    expect(first!.y).toBeGreaterThan(second!.y)
    expect(svg).toContain("a &lt; b &amp; c")
  })

  it("of nothing says so", () => {
    expect(chart([], "")).toContain("no point has figures")
  })
})

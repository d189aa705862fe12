/**
 * The report as a picture: quality against the number of steps, and against entropy.
 *
 * @since 0.1.0
 */
import { bySettings, type EvaluationReport, overSeeds, qualities, qualityOf, type SeedGroup, type Settings } from "./report.ts"

const panel = { width: 400, height: 280, left: 62, top: 44, gap: 40 } as const
const lineHeight = 18

/** Colours that stay apart for people who see fewer of them. @source M. Okabe, K. Ito (2008) */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]

interface Mark {
  readonly steps: number
  readonly entropy: number
  readonly quality: number
}

/** Settings that differ in their steps alone. */
interface Series {
  readonly label: string
  readonly marks: ReadonlyArray<Mark>
}

const names: Readonly<Record<"solver" | "gamma" | "churn" | "guidanceScale" | "selfConditionScale", string>> =
  { solver: "", gamma: "γ ", churn: "churn ", guidanceScale: "guidance ", selfConditionScale: "self-condition scale " }

const keys = Object.keys(names) as ReadonlyArray<keyof typeof names>

/** The settings that tell series apart; the solver always. */
const labelsOf = (groups: ReadonlyArray<SeedGroup>): (settings: Omit<Settings, "seed">) => string => {
  const differing = keys.filter((key) => key === "solver" || new Set(groups.map(({ settings }) => settings[key])).size > 1)
  return (settings) => differing.filter((key) => (key !== "gamma" && key !== "churn") || settings[key] > 0).map((key) => `${names[key]}${settings[key]}`).join(", ")
}

const markOf = (task: EvaluationReport["task"], { points, settings }: SeedGroup): Mark | undefined => {
  const [entropy, quality] = [overSeeds(points.map(({ entropy }) => entropy)), overSeeds(points.map((point) => qualityOf(task, point)))]
  return entropy === undefined || quality === undefined ? undefined : { steps: settings.steps, entropy: entropy.mean, quality: quality.mean }
}

const seriesOf = ({ points, task }: EvaluationReport): ReadonlyArray<Series> => {
  const groups = bySettings(points)
  const label = labelsOf(groups)
  const series = new Map<string, Array<Mark>>()
  for (const group of groups) {
    const mark = markOf(task, group)
    if (mark !== undefined) series.set(label(group.settings), [...series.get(label(group.settings)) ?? [], mark])
  }
  return Array.from(series, ([label, marks]) => ({ label, marks: marks.toSorted((a, b) => a.steps - b.steps) }))
}

/** A range of values with round ticks in it. */
interface Axis {
  readonly at: (value: number) => number
  readonly ticks: ReadonlyArray<number>
}

/** About five round values between two. */
const roundTicks = (low: number, high: number): ReadonlyArray<number> => {
  const raw = (high - low) / 4
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw)!
  const first = Math.ceil(low / step)
  return Array.from({ length: Math.max(0, Math.floor(high / step) - first + 1) }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

const linear = (values: ReadonlyArray<number>): Axis => {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const room = most > least ? 0.08 * (most - least) : Math.max(1, Math.abs(most)) * 0.1
  const [low, high] = [least - room, most + room]
  return { at: (value) => (value - low) / (high - low), ticks: roundTicks(low, high) }
}

const logarithmic = (values: ReadonlyArray<number>, ticks: ReadonlyArray<number>): Axis => {
  const inner = linear(values.map(Math.log))
  return { at: (value) => inner.at(Math.log(value)), ticks: ticks.filter((tick) => inner.at(Math.log(tick)) >= 0 && inner.at(Math.log(tick)) <= 1) }
}

/** Steps, each a tick. */
const stepsAxis = (steps: ReadonlyArray<number>): Axis => logarithmic(steps, [...new Set(steps)].toSorted((a, b) => a - b))

/** Perplexities, which may lie decades apart. */
const perplexityAxis = (values: ReadonlyArray<number>): Axis => {
  const decades = Array.from({ length: 16 }, (_, exponent) => [1, 2, 5].map((factor) => factor * 10 ** exponent)).flat()
  const axis = logarithmic(values, decades)
  return axis.ticks.length >= 3 ? axis : logarithmic(values, linear(values).ticks.filter((tick) => tick > 0))
}

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const text = (x: number, y: number, anchor: "start" | "middle" | "end", words: string, more = ""): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}"${more}>${escaped(words)}</text>`

const diamond = (x: number, y: number): string => `<path d="M${x.toFixed(1)} ${(y - 6).toFixed(1)}l6 6l-6 6l-6 -6Z" fill="#333"/>`

/** What a panel shows. */
interface PanelContent {
  readonly title: string
  readonly series: ReadonlyArray<Series>
  /** What lies along x. */
  readonly key: "steps" | "entropy"
  readonly x: Axis
  readonly y: Axis
  /** Real texts: a place, or with no entropy along x a height. */
  readonly yardstick: Omit<Mark, "steps"> | undefined
}

const drawPanel = ({ key, series, title, x, y, yardstick }: PanelContent, index: number): string => {
  const left = panel.left + index * (panel.width + panel.left + panel.gap)
  const bottom = panel.top + panel.height
  const px = (value: number) => left + panel.width * x.at(value)
  const py = (value: number) => bottom - panel.height * y.at(value)
  const place = (mark: Mark): readonly [number, number] => [px(mark[key]), py(mark.quality)]
  const rows = y.ticks.map((tick) => `<path d="M${left} ${py(tick).toFixed(1)}h${panel.width}" stroke="#e4e4e4"/>${text(left - 8, py(tick) + 4, "end", String(tick))}`)
  const columns = x.ticks.map((tick) => `<path d="M${px(tick).toFixed(1)} ${bottom}v5" stroke="#999"/>${text(px(tick), bottom + 19, "middle", String(tick))}`)
  const lines = series.map(({ marks }, i) => {
    const colour = colours[i % colours.length]!
    const path = marks.map((mark, j) => `${j === 0 ? "M" : "L"}${place(mark).map((each) => each.toFixed(1)).join(" ")}`).join("")
    const dots = marks.map((mark) => {
      const [cx, cy] = place(mark)
      const number = key === "entropy" ? text(cx + 7, cy - 6, "start", String(mark.steps), " font-size=\"10\" fill=\"#777\"") : ""
      return `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="4" fill="${colour}"/>${number}`
    })
    return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.6"/>${dots.join("")}`
  })
  const level = yardstick === undefined ? "" : key === "entropy"
    ? diamond(px(yardstick.entropy), py(yardstick.quality))
    : `<path d="M${left} ${py(yardstick.quality).toFixed(1)}h${panel.width}" stroke="#333" stroke-dasharray="5 4"/>`
  return [
    text(left, panel.top - 16, "start", title, " font-weight=\"bold\""),
    ...rows,
    `<path d="M${left} ${panel.top}V${bottom}h${panel.width}" fill="none" stroke="#999"/>`,
    ...columns,
    level,
    ...lines,
    text(left + panel.width / 2, bottom + 38, "middle", key === "steps" ? "steps" : "unigram entropy, nats")
  ].join("\n")
}

const legend = (series: ReadonlyArray<Series>, hasYardstick: boolean, top: number): ReadonlyArray<string> => [
  ...series.map(({ label }, i) => `<circle cx="${panel.left + 6}" cy="${top + i * lineHeight - 4}" r="4" fill="${colours[i % colours.length]}"/>${text(panel.left + 18, top + i * lineHeight, "start", label)}`),
  ...(hasYardstick ? [`${diamond(panel.left + 6, top + series.length * lineHeight - 4)}${text(panel.left + 18, top + series.length * lineHeight, "start", "real texts")}`] : [])
]

/** Two panels as SVG; numbers beside the marks of the second are steps. Points without figures are left out. */
export const plot = (report: EvaluationReport): string => {
  const { better, title } = qualities[report.task]
  const series = seriesOf(report)
  const { entropy = null, perplexity = null } = report.reference ?? {}
  const yardstick = entropy === null || perplexity === null ? undefined : { entropy, quality: perplexity }
  const marks = series.flatMap(({ marks }) => marks)
  const top = panel.top + panel.height + 66
  const [width, height] = [2 * (panel.left + panel.width + panel.gap), top + (series.length + 1) * lineHeight + 30]
  const y = (report.task === "unconditional" ? perplexityAxis : linear)([...marks, ...(yardstick === undefined ? [] : [yardstick])].map(({ quality }) => quality))
  const shared = { series, y, yardstick }
  const entropies = [...marks, ...(yardstick === undefined ? [] : [yardstick])].map(({ entropy }) => entropy)
  const panels = marks.length === 0 ? [text(panel.left, panel.top, "start", "no point has figures")] : [
    drawPanel({ ...shared, title: `${title} against steps (${better} is better)`, key: "steps", x: stepsAxis(marks.map(({ steps }) => steps)) }, 0),
    drawPanel({ ...shared, title: `${title} against entropy`, key: "entropy", x: linear(entropies) }, 1)
  ]
  const judge = report.scorer === undefined ? `${report.count} answers a point` : `${report.count} texts a point, judged by ${report.scorer.name}${report.scorer.standIn ? ": a stand-in for GPT-2, not comparable with it" : ""}`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#333">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...panels,
    ...legend(series, yardstick !== undefined, top),
    text(panel.left, height - 14, "start", judge, " font-size=\"11\" fill=\"#777\""),
    "</svg>",
    ""
  ].join("\n")
}

/**
 * The report as a picture: quality against the number of steps, and against entropy.
 *
 * @since 0.1.0
 */
import { type Axis, chart, linear, logarithmic, type Panel, perplexityAxis } from "./chart.ts"
import { bySettings, type EvaluationReport, overSeeds, qualities, qualityOf, type SeedGroup, type Settings } from "./report.ts"

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

/** Steps, each a tick. */
const stepsAxis = (steps: ReadonlyArray<number>): Axis => logarithmic(steps, [...new Set(steps)].toSorted((a, b) => a - b))

/** A series along one of its figures; along entropy the marks are named by their steps. */
const along = (series: ReadonlyArray<Series>, key: "steps" | "entropy"): Panel["series"] =>
  series.map(({ label, marks }) => ({ label, marks: marks.map((mark) => ({ x: mark[key], y: mark.quality, ...(key === "entropy" ? { label: String(mark.steps) } : {}) })) }))

/** Two panels as SVG; numbers beside the marks of the second are steps. Points without figures are left out. */
export const plot = (report: EvaluationReport): string => {
  const { better, title } = qualities[report.task]
  const series = seriesOf(report)
  const { entropy = null, perplexity = null } = report.reference ?? {}
  const real = entropy === null || perplexity === null ? undefined : { x: entropy, y: perplexity }
  const marks = series.flatMap(({ marks }) => marks)
  const y = (report.task === "unconditional" ? perplexityAxis : linear)([...marks.map(({ quality }) => quality), ...(real === undefined ? [] : [real.y])])
  const entropies = [...marks.map(({ entropy }) => entropy), ...(real === undefined ? [] : [real.x])]
  const panels: ReadonlyArray<Panel> = marks.length === 0 ? [] : [
    { title: `${title} against steps (${better} is better)`, series: along(series, "steps"), x: stepsAxis(marks.map(({ steps }) => steps)), y, xTitle: "steps", yardstick: real && { y: real.y } },
    { title: `${title} against entropy`, series: along(series, "entropy"), x: linear(entropies), y, xTitle: "unigram entropy, nats", yardstick: real }
  ]
  const judge = report.scorer === undefined ? `${report.count} answers a point` : `${report.count} texts a point, judged by ${report.scorer.name}${report.scorer.standIn ? ": a stand-in for GPT-2, not comparable with it" : ""}`
  return chart(panels, judge)
}

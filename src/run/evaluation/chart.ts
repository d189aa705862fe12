/**
 * Line charts side by side, as SVG: what the plots of figures are drawn with.
 *
 * @since 0.1.0
 */

const panel = { width: 400, height: 280, left: 62, top: 44, gap: 40 } as const
const lineHeight = 18

/** Colours that stay apart for people who see fewer of them. @source M. Okabe, K. Ito (2008) */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]

/** A place in a chart. */
export interface Place {
  readonly x: number
  readonly y: number
}

/** A place with what is written beside it. */
export interface Mark extends Place {
  readonly label?: string
}

/** Marks that a line joins, in order. */
export interface Series {
  readonly label: string
  readonly marks: ReadonlyArray<Mark>
  /** What the marks are the means of: small and pale. */
  readonly dots?: ReadonlyArray<Place>
}

/** A range of values, `at` 0 to 1 of it, with round ticks in it. */
export interface Axis {
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

/** All values, with a little room at either end. */
export const linear = (values: ReadonlyArray<number>): Axis => {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const room = most > least ? 0.08 * (most - least) : Math.max(1, Math.abs(most)) * 0.1
  const [low, high] = [least - room, most + room]
  return { at: (value) => (value - low) / (high - low), ticks: roundTicks(low, high) }
}

/** All values, which are above 0, by their logarithm; of `ticks` those within. */
export const logarithmic = (values: ReadonlyArray<number>, ticks: ReadonlyArray<number>): Axis => {
  const inner = linear(values.map(Math.log))
  return { at: (value) => inner.at(Math.log(value)), ticks: ticks.filter((tick) => inner.at(Math.log(tick)) >= 0 && inner.at(Math.log(tick)) <= 1) }
}

/** Perplexities, which may lie decades apart. */
export const perplexityAxis = (values: ReadonlyArray<number>): Axis => {
  const decades = Array.from({ length: 16 }, (_, exponent) => [1, 2, 5].map((factor) => factor * 10 ** exponent)).flat()
  const axis = logarithmic(values, decades)
  return axis.ticks.length >= 3 ? axis : logarithmic(values, linear(values).ticks.filter((tick) => tick > 0))
}

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const text = (x: number, y: number, anchor: "start" | "middle" | "end", words: string, more = ""): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}"${more}>${escaped(words)}</text>`

const diamond = (x: number, y: number): string => `<path d="M${x.toFixed(1)} ${(y - 6).toFixed(1)}l6 6l-6 6l-6 -6Z" fill="#333"/>`

/** What a panel shows. */
export interface Panel {
  readonly title: string
  readonly series: ReadonlyArray<Series>
  readonly x: Axis
  readonly y: Axis
  /** What lies along x. */
  readonly xTitle: string
  /** Real texts: a place, or without x a height. */
  readonly yardstick?: { readonly x?: number; readonly y: number } | undefined
}

const drawPanel = ({ series, title, x, xTitle, y, yardstick }: Panel, index: number): string => {
  const left = panel.left + index * (panel.width + panel.left + panel.gap)
  const bottom = panel.top + panel.height
  const px = (value: number) => left + panel.width * x.at(value)
  const py = (value: number) => bottom - panel.height * y.at(value)
  const rows = y.ticks.map((tick) => `<path d="M${left} ${py(tick).toFixed(1)}h${panel.width}" stroke="#e4e4e4"/>${text(left - 8, py(tick) + 4, "end", String(tick))}`)
  const columns = x.ticks.map((tick) => `<path d="M${px(tick).toFixed(1)} ${bottom}v5" stroke="#999"/>${text(px(tick), bottom + 19, "middle", String(tick))}`)
  const lines = series.map(({ dots = [], marks }, i) => {
    const colour = colours[i % colours.length]!
    const path = marks.map((mark, j) => `${j === 0 ? "M" : "L"}${px(mark.x).toFixed(1)} ${py(mark.y).toFixed(1)}`).join("")
    const pale = dots.map((dot) => `<circle cx="${px(dot.x).toFixed(1)}" cy="${py(dot.y).toFixed(1)}" r="2.5" fill="${colour}" fill-opacity="0.35"/>`)
    const drawn = marks.map((mark) => {
      const [cx, cy] = [px(mark.x), py(mark.y)]
      const label = mark.label === undefined ? "" : text(cx + 7, cy - 6, "start", mark.label, " font-size=\"10\" fill=\"#777\"")
      return `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="4" fill="${colour}"/>${label}`
    })
    return `${pale.join("")}<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.6"/>${drawn.join("")}`
  })
  const level = yardstick === undefined ? "" : yardstick.x === undefined
    ? `<path d="M${left} ${py(yardstick.y).toFixed(1)}h${panel.width}" stroke="#333" stroke-dasharray="5 4"/>`
    : diamond(px(yardstick.x), py(yardstick.y))
  return [
    text(left, panel.top - 16, "start", title, " font-weight=\"bold\""),
    ...rows,
    `<path d="M${left} ${panel.top}V${bottom}h${panel.width}" fill="none" stroke="#999"/>`,
    ...columns,
    level,
    ...lines,
    text(left + panel.width / 2, bottom + 38, "middle", xTitle)
  ].join("\n")
}

const legend = (labels: ReadonlyArray<string>, hasYardstick: boolean, left: number, top: number): ReadonlyArray<string> => [
  ...labels.map((label, i) => `<circle cx="${left + 6}" cy="${top + i * lineHeight - 4}" r="4" fill="${colours[i % colours.length]}"/>${text(left + 18, top + i * lineHeight, "start", label)}`),
  ...(hasYardstick ? [`${diamond(left + 6, top + labels.length * lineHeight - 4)}${text(left + 18, top + labels.length * lineHeight, "start", "real texts")}`] : [])
]

const labelsOf = ({ series }: Panel): ReadonlyArray<string> => series.map(({ label }) => label)

/** Panels that show the same series have one legend. */
const legends = (panels: ReadonlyArray<Panel>, top: number): ReadonlyArray<string> => {
  const shared = panels.every((each) => labelsOf(each).join("\n") === labelsOf(panels[0]!).join("\n"))
  return (shared ? panels.slice(0, 1) : panels).flatMap((each, i) =>
    legend(labelsOf(each), each.yardstick !== undefined, panel.left + i * (panel.width + panel.left + panel.gap), top))
}

/** Panels side by side with their legends, over a line that says what they are. Two panels wide at least. */
export const chart = (panels: ReadonlyArray<Panel>, footer: string): string => {
  const top = panel.top + panel.height + 66
  const most = Math.max(0, ...panels.map(({ series }) => series.length))
  const [width, height] = [Math.max(2, panels.length) * (panel.left + panel.width + panel.gap), top + (most + 1) * lineHeight + 30]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#333">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...(panels.length === 0 ? [text(panel.left, panel.top, "start", "no point has figures")] : panels.map(drawPanel)),
    ...legends(panels, top),
    text(panel.left, height - 14, "start", footer, " font-size=\"11\" fill=\"#777\""),
    "</svg>",
    ""
  ].join("\n")
}

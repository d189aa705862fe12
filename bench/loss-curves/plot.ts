/** The curves as an SVG: for each side the band between its lowest and highest run, and the mean as a line. */
import type { Branch, Curves } from "./curves.ts"
import { type Side, sides } from "./settings.ts"
import { mean } from "./statistics.ts"

const panel = { width: 340, height: 220, left: 48, top: 34, gap: 24 }
const colours: Readonly<Record<Side, string>> = { reference: "#4a6fa5", ours: "#d1603d" }
const labels: Readonly<Record<Side, string>> = { reference: "reference (PyTorch), 3 seeds", ours: "this library, 3 seeds" }
const titles: Readonly<Record<Branch, string>> = { denoiserLoss: "Denoiser: squared velocity error", decoderLoss: "Decoder: cross-entropy, nats a token" }
const ticks: Readonly<Record<Branch, ReadonlyArray<number>>> = { denoiserLoss: [1, 1.25, 1.5, 1.75, 2], decoderLoss: [2, 3, 4, 5, 6, 7] }

type Point = readonly [x: number, y: number]

const path = (points: ReadonlyArray<Point>): string => points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("")

const drawPanel = ({ branch, runs, steps }: Curves, index: number): string => {
  const all = sides.flatMap((side) => runs[side].flat())
  const [low, high] = [Math.min(...all), Math.max(...all)]
  const origin = panel.left + index * (panel.width + panel.left + panel.gap)
  const last = steps.at(-1)!
  const x = (step: number): number => origin + (panel.width * step) / last
  const y = (loss: number): number => panel.top + panel.height * (1 - (loss - low) / (high - low))
  const at = (side: Side, of: (values: ReadonlyArray<number>) => number): ReadonlyArray<Point> =>
    steps.map((step, i) => [x(step), y(of(runs[side].map((run) => run[i]!)))] as const)
  const band = (side: Side): string =>
    `<path d="${path([...at(side, (values) => Math.max(...values)), ...at(side, (values) => Math.min(...values)).toReversed()])}Z" fill="${colours[side]}" fill-opacity="0.25"/>`
  const line = (side: Side): string => `<path d="${path(at(side, mean))}" fill="none" stroke="${colours[side]}" stroke-width="1.5"/>`
  const text = (px: number, py: number, anchor: string, words: string): string => `<text x="${px.toFixed(1)}" y="${py.toFixed(1)}" text-anchor="${anchor}">${words}</text>`
  const grid = ticks[branch].filter((tick) => tick >= low && tick <= high).map((tick) =>
    `<path d="M${x(0)} ${y(tick).toFixed(1)}H${x(last)}" stroke="#ddd"/>${text(x(0) - 6, y(tick) + 4, "end", String(tick))}`)
  const axis = [0, last / 2, last].map((step) => text(x(step), panel.top + panel.height + 16, "middle", step === 0 ? "step 0" : String(step)))
  return [text(x(0), panel.top - 14, "start", titles[branch]), ...grid, ...axis, ...sides.map(band), ...sides.map(line)].join("\n")
}

const legend = (side: Side, index: number): string => {
  const [x, y] = [panel.left + index * 220, panel.top + panel.height + 38]
  return `<rect x="${x}" y="${y - 9}" width="18" height="10" fill="${colours[side]}" fill-opacity="0.6"/><text x="${x + 24}" y="${y}">${labels[side]}</text>`
}

/** Both branches side by side. */
export const plot = (curves: ReadonlyArray<Curves>): string => {
  const width = curves.length * (panel.width + panel.left + panel.gap)
  const height = panel.top + panel.height + 50
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#333">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...curves.map(drawPanel),
    ...sides.map(legend),
    "</svg>",
    ""
  ].join("\n")
}

/** The findings as a table and a picture. Means and deviations are over the seeds, which are those of training. */
import { chart, linear, type Panel, perplexityAxis, type Series } from "../../../src/run/evaluation/chart.ts"
import { eachOf, spread, table } from "../markdown.ts"
import type { Figures, Judged } from "./judge.ts"
import { readLosses } from "./losses.ts"
import { type VariantName, variants } from "./variants.ts"
import { count, type Point } from "./write.ts"

type Row = Point & Figures

/** Points that differ in their seed alone. */
const groups = (points: ReadonlyArray<Row>): ReadonlyArray<ReadonlyArray<Row>> =>
  [...Map.groupBy(points, ({ decoder, sampler, scale, solver, steps }) => [sampler, decoder, solver, steps, scale].join()).values()]

const meanOf = (rows: ReadonlyArray<Row>, key: keyof Figures): number => rows.reduce((sum, row) => sum + row[key], 0) / rows.length

const nameOf = (sampler: VariantName, decoder: VariantName): string =>
  sampler === decoder ? variants[sampler].label : `${variants[sampler].label}, read by ${variants[decoder].label}`

const losses = (seeds: ReadonlyArray<number>): string =>
  table(["network", "denoiser: velocity error", "decoder: nats a token", "seeds"], (Object.keys(variants) as Array<VariantName>).flatMap((variant) => {
    const found = seeds.flatMap((seed) => readLosses({ variant, seed }) ?? [])
    if (found.length === 0) return []
    return [[variants[variant].label, spread(found.map(({ denoiser }) => denoiser), 3), spread(found.map(({ decoder }) => decoder), 3), String(found.length)]]
  }))

/** Mean perplexity, that of each seed, and mean entropy. */
const cell = (rows: ReadonlyArray<Row>): string => {
  if (rows.length === 0) return "–"
  const each = rows.length > 1 ? ` (${eachOf(rows.map(({ perplexity }) => perplexity))})` : ""
  return `${eachOf([meanOf(rows, "perplexity")])}${each} · ${meanOf(rows, "entropy").toFixed(2)}`
}

/** A row a pair of sampler and decoder, a column a setting. */
const texts = (points: ReadonlyArray<Row>, key: "steps" | "scale", unit: string): string => {
  const settings = [...new Set(points.map((row) => row[key]))].toSorted((a, b) => a - b)
  return table(["network", ...settings.map((setting) => `${unit} ${setting}`)], [...Map.groupBy(points, ({ decoder, sampler }) => nameOf(sampler, decoder))].map(([name, own]) =>
    [name, ...settings.map((setting) => cell(own.filter((row) => row[key] === setting)))]))
}

/** Markdown: held-out losses, then perplexity and entropy of texts over steps and over self-conditioning scales. */
export const report = ({ heldOut, points }: Judged, seeds: ReadonlyArray<number>): string => [
  losses(seeds),
  texts(points.filter(({ scale }) => scale === 2), "steps", "steps"),
  texts(points.filter(({ steps }) => steps === 32), "scale", "32 steps, scale"),
  `Held-out text: perplexity ${heldOut.perplexity.toFixed(0)}, entropy ${heldOut.entropy.toFixed(2)}. ${count} texts a point and seed.\n`
].join("\n")

/** The findings, and the pairs of sampler and decoder that each compares. */
const comparisons: ReadonlyArray<readonly [title: string, pairs: ReadonlyArray<readonly [VariantName, VariantName]>]> = [
  ["A larger network", [["base", "base"], ["larger", "larger"]]],
  ["Contextual embeddings", [["base", "base"], ["tokens", "tokens"], ["tokensSameNoise", "tokensSameNoise"]]],
  ["A separate decoder", [["base", "base"], ["base", "decoder"], ["base", "briefDecoder"], ["denoiser", "decoder"]]]
]

/** A line over the numbers of steps, at the scale that all of them have. */
const seriesOf = (points: ReadonlyArray<Row>, sampler: VariantName, decoder: VariantName): Series => {
  const own = points.filter((row) => row.sampler === sampler && row.decoder === decoder && row.scale === 2).toSorted((a, b) => a.steps - b.steps)
  return {
    label: nameOf(sampler, decoder),
    marks: groups(own).map((group) => ({ x: meanOf(group, "entropy"), y: meanOf(group, "perplexity"), label: String(group[0]!.steps) })),
    dots: own.map(({ entropy, perplexity }) => ({ x: entropy, y: perplexity }))
  }
}

/** A panel a finding: perplexity against entropy. Numbers beside the marks are steps. */
export const plot = ({ heldOut, points }: Judged): string => {
  const all = [...points, heldOut]
  const shared = {
    x: linear(all.map(({ entropy }) => entropy)),
    y: perplexityAxis(all.map(({ perplexity }) => perplexity)),
    xTitle: "unigram entropy, nats",
    yardstick: { x: heldOut.entropy, y: heldOut.perplexity }
  }
  const panels = comparisons.map(([title, pairs]): Panel => ({ ...shared, title: `${title}: perplexity against entropy`, series: pairs.map(([sampler, decoder]) => seriesOf(points, sampler, decoder)).filter(({ marks }) => marks.length > 0) }))
  return chart(points.length === 0 ? [] : panels, `Means of the seeds, which are the pale dots; ${count} texts each, numbers are steps (ODE, self-conditioning scale 2). Judged by Kneser–Ney 3-grams of the training text: a stand-in for GPT-2.`)
}

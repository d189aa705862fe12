/**
 * What an evaluation found, as one JSON value: figures, and everything that they depend on.
 *
 * @since 0.1.0
 */
import type { RunConfig } from "../../io/index.ts"
import type { Mask } from "../../metrics/Perplexity.ts"
import type { SamplerChoice } from "../sampling.ts"
import type { Protocol } from "./request.ts"
import type { ScorerDescription } from "./Scorer.ts"

/** Figures of texts under a scorer. */
export interface GenerativeFigures {
  /** exp of the mean surprisal of all tokens that count, under the report's mask; null where none counts. */
  readonly perplexity: number | null
  /** Mean over texts of the unigram entropy of their tokens, in nats; null where there is no text. */
  readonly entropy: number | null
  /** Under either mask. */
  readonly perplexities: Readonly<Record<Mask, number | null>>
  /** Texts that were judged. */
  readonly texts: number
  /** Texts without a word, which are not judged. */
  readonly empty: number
  /** Mean over the judged texts, in tokens of the scorer. */
  readonly tokensPerText: number
}

/** Figures of answers against what they should be, in percent. */
export interface ConditionalFigures {
  /** In lower case, as the reference's protocol has it. */
  readonly bleu: number
  readonly bleuCased: number
  readonly rouge1: number
  readonly rouge2: number
  readonly rougeL: number
  /** Mean over the answers that are not empty of the unigram entropy of their T5 pieces, in nats; null where all are empty. */
  readonly entropy: number | null
  /** Answers, empty ones included. */
  readonly texts: number
  readonly empty: number
}

/** The settings of a point. */
export type Settings = Pick<SamplerChoice, "solver" | "steps" | "gamma" | "churn" | "guidanceScale" | "selfConditionScale" | "timeGrid" | "seed">

/** A point and its figures. */
export type PointReport = Settings & {
  /** All its sampler's settings. */
  readonly sampler: Omit<SamplerChoice, "count">
  /** The file of its texts, within the output folder. */
  readonly file: string
} & (GenerativeFigures | ConditionalFigures)

/** The whole report. */
export interface EvaluationReport {
  readonly task: Protocol["task"]
  readonly checkpoint: {
    readonly path: string
    readonly step: number
    /** Of its manifest, which holds those of its weights. */
    readonly sha256: string
  }
  /** Seeds of the points. */
  readonly seeds: ReadonlyArray<number>
  /** Texts a point. */
  readonly count: number
  readonly points: ReadonlyArray<PointReport>
  /** Of the unconditional task. */
  readonly scorer?: ScorerDescription
  readonly mask?: Mask
  /** Real texts under the same scorer: the yardstick. */
  readonly reference?: GenerativeFigures & { readonly path: string }
  /** Of the other tasks. */
  readonly data?: { readonly path: string; readonly inputColumn: string; readonly outputColumn: string }
  /** The run file of the checkpoint. */
  readonly configuration: RunConfig.RunConfig
  /** Of this library. */
  readonly version: string
}

/** Which figure a task is about, and which way is better. */
export const qualities = {
  unconditional: { key: "perplexity", title: "generative perplexity", better: "lower" },
  translation: { key: "bleu", title: "BLEU", better: "higher" },
  summarisation: { key: "rougeL", title: "ROUGE-L", better: "higher" }
} as const satisfies Readonly<Record<Protocol["task"], { readonly key: string; readonly title: string; readonly better: "lower" | "higher" }>>

/** The figure of a point that its task is about. */
export const qualityOf = (task: Protocol["task"], figures: GenerativeFigures | ConditionalFigures): number | null => {
  if ("perplexity" in figures) return figures.perplexity
  return task === "summarisation" ? figures.rougeL : figures.bleu
}

/** Points that differ in their seed alone. */
export interface SeedGroup {
  readonly settings: Omit<Settings, "seed">
  readonly points: ReadonlyArray<PointReport>
}

/** Points by their settings without the seed, in order. */
export const bySettings = (points: ReadonlyArray<PointReport>): ReadonlyArray<SeedGroup> => {
  const groups = new Map<string, { settings: Omit<Settings, "seed">; points: Array<PointReport> }>()
  for (const point of points) {
    const { churn, gamma, guidanceScale, sampler: { seed: _, ...sampler }, selfConditionScale, solver, steps, timeGrid } = point
    const settings = { solver, steps, gamma, churn, guidanceScale, selfConditionScale, timeGrid }
    const key = JSON.stringify(sampler)
    const group = groups.get(key) ?? { settings, points: [] }
    group.points.push(point)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** Mean and deviation over seeds of a figure; undefined where it is missing from one. */
export const overSeeds = (values: ReadonlyArray<number | null>): { readonly mean: number; readonly deviation: number } | undefined => {
  const numbers = values.filter((value): value is number => value !== null && Number.isFinite(value))
  if (numbers.length === 0 || numbers.length < values.length) return undefined
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length
  const squares = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, deviation: numbers.length < 2 ? 0 : Math.sqrt(squares / (numbers.length - 1)) }
}

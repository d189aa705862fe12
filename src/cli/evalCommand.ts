/**
 * `elf eval`: a checkpoint's figures under a sweep of settings, as a table, a plot and a report.
 */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { join } from "node:path"
import { Backend } from "../model/Backend.ts"
import * as Evaluation from "../run/evaluation/index.ts"
import { evalFlags, evalRequest } from "./evalOptions.ts"
import { evalWatch } from "./evalWatch.ts"
import { announceEngine } from "./options.ts"
import { printResult } from "./print.ts"
import { scorerLines } from "./scorerOptions.ts"

type Row = ReadonlyArray<string>

/** Columns side by side, numbers at their right. */
const aligned = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join("  "))
}

const spread = (values: ReadonlyArray<number | null>, digits: number): string => {
  const over = Evaluation.overSeeds(values)
  if (over === undefined) return "–"
  return `${over.mean.toFixed(digits)}${values.length > 1 ? ` ± ${over.deviation.toFixed(digits)}` : ""}`
}

/** The figures that a task's table shows: title, value and digits. */
const figures = {
  unconditional: [["perplexity", 2], ["entropy", 3]],
  translation: [["bleu", 2], ["bleuCased", 2], ["entropy", 3]],
  summarisation: [["rouge1", 2], ["rouge2", 2], ["rougeL", 2], ["entropy", 3]]
} as const

const titles = { perplexity: "perplexity", entropy: "entropy", bleu: "BLEU", bleuCased: "BLEU, cased", rouge1: "ROUGE-1", rouge2: "ROUGE-2", rougeL: "ROUGE-L" } as const

const valueOf = (point: Partial<Record<keyof typeof titles, number | null>>, key: keyof typeof titles): number | null => point[key] ?? null

const table = ({ points, reference, task }: Evaluation.EvaluationReport): ReadonlyArray<string> => {
  const columns = figures[task]
  const head = ["solver", "steps", "γ", "churn", "guidance", "scale", ...columns.map(([key]) => titles[key]), "texts", "empty"]
  const rows = Evaluation.bySettings(points).map(({ points, settings }): Row => [
    settings.solver,
    ...[settings.steps, settings.gamma, settings.churn, settings.guidanceScale, settings.selfConditionScale].map(String),
    ...columns.map(([key, digits]) => spread(points.map((point) => valueOf(point, key)), digits)),
    ...(["texts", "empty"] as const).map((key) => String(points.reduce((sum, point) => sum + point[key], 0)))
  ])
  const yardstick = reference === undefined ? [] : [["real texts", ...head.slice(1, 6).map(() => ""), ...columns.map(([key, digits]) => spread([valueOf(reference, key)], digits)), String(reference.texts), String(reference.empty)]]
  return aligned([head, ...rows, ...yardstick])
}

const lines = (output: string) => (report: Evaluation.EvaluationReport): ReadonlyArray<string> => [
  ...table(report),
  ...(report.seeds.length > 1 ? [`mean ± standard deviation over seeds ${report.seeds.join(", ")}`] : []),
  ...(report.scorer === undefined ? [] : scorerLines(report.scorer, report.mask!)),
  `${join(output, "report.json")}, ${join(output, "plot.svg")}`
]

/** The command. */
export const evalCommand = Command.make("eval", evalFlags, Effect.fnUntraced(function*(options) {
  const request = yield* evalRequest(options)
  yield* announceEngine
  const report = yield* Evaluation.evaluate(request, yield* evalWatch)
  yield* printResult(options.json, report, lines(request.output))
})).pipe(
  Command.withDescription("Judge a checkpoint: perplexity and entropy of texts from noise, or BLEU and ROUGE of answers, under a sweep of settings; started again, it goes on"),
  Command.provide(Backend.layer)
)

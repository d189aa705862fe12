/** Tables of figures over seeds, as docs/results.md has them. */
import { Evaluation } from "../../src/run/index.ts"

/** A number with thousands and so many digits. */
const written = (value: number, digits: number): string =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })

/** Mean ± standard deviation; the value alone where there is one, a dash where there is none. */
export const spread = (values: ReadonlyArray<number>, digits: number): string => {
  const over = Evaluation.overSeeds(values)
  if (over === undefined) return "–"
  return values.length > 1 ? `${written(over.mean, digits)} ± ${written(over.deviation, digits)}` : written(over.mean, digits)
}

/** Each value, rounded. */
export const eachOf = (values: ReadonlyArray<number>): string => values.map((value) => written(value, 0)).join("; ")

const line = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

/** A table in Markdown. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [line(head), line(head.map(() => "---")), ...rows.map(line), ""].join("\n")

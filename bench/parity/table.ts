/** A report as text. */
import type { CaseReport, Report, Row } from "./run.ts"

const number = (value: number): string => value === 0 ? "0" : Number.isFinite(value) ? value.toExponential(1) : "∞"

const widths = [64, 9, 9, 10] as const

const line = (array: string, absolute: string, relative: string, tolerance: string, verdict: string): string =>
  `  ${array.padEnd(widths[0])} ${absolute.padStart(widths[1])} ${relative.padStart(widths[2])} ${tolerance.padStart(widths[3])}  ${verdict}`

const rowLine = ({ absolute, array, note, part, passed, problem, relative, tolerance }: Row): string => {
  const remarks = [problem, note].filter((remark) => remark !== undefined)
  const verdict = [passed ? "ok" : "FAILED", ...remarks].join(" – ")
  return line(part === undefined ? array : `${array} (${part})`, number(absolute), number(relative), tolerance === 0 ? "exact" : number(tolerance), verdict)
}

/** The row that is nearest to its tolerance, or farthest beyond it; an exact one counts if it fails only. */
const worstOf = (rows: ReadonlyArray<Row>): Row | undefined => {
  const share = ({ passed, relative, tolerance }: Row) => tolerance > 0 ? relative / tolerance : passed ? -1 : Infinity
  return rows.reduce<Row | undefined>((worst, row) => worst === undefined || share(row) > share(worst) ? row : worst, undefined)
}

const caseLines = (each: CaseReport): ReadonlyArray<string> => [
  `${each.case}: ${each.verdict}${each.why === undefined ? "" : `: ${each.why}`}`,
  ...each.rows.map(rowLine),
  ...each.leftOut.map(({ array, why }) => line(array, "", "", "", `left out – ${why}`)),
  ""
]

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const verdicts = ["passed", "failed", "not run", "unknown"] as const

const counts = (cases: ReadonlyArray<CaseReport>): string =>
  verdicts.map((verdict) => [cases.filter((each) => each.verdict === verdict).length, verdict] as const)
    .filter(([count]) => count > 0).map(([count, verdict]) => `${count} ${verdict}`).join(", ")

const summary = (title: string, cases: ReadonlyArray<CaseReport>): string => {
  const rows = cases.flatMap((each) => each.rows.map((row) => ({ ...row, array: `${each.case}: ${row.array}` })))
  const worst = worstOf(rows)
  const nearest = worst === undefined ? "" : `; worst ${worst.quantity} ${number(worst.relative)} of ${number(worst.tolerance)} (${worst.array})`
  return `${title.padEnd(12)} ${plural(cases.length, "case")}: ${counts(cases)}; ${plural(rows.length, "array")}${nearest}`
}

/** The worst error of every kind of number, beside its tolerance. */
const quantityLines = (cases: ReadonlyArray<CaseReport>): ReadonlyArray<string> => {
  const rows = cases.flatMap((each) => each.rows.map((row) => ({ ...row, array: `${each.case}: ${row.array}` })))
  return [...new Set(rows.map(({ quantity }) => quantity))].map((quantity) => {
    const worst = rows.filter((row) => row.quantity === quantity).reduce((a, b) => b.relative > a.relative ? b : a)
    return rowLine({ ...worst, part: worst.array, array: quantity })
  })
}

const groupsOf = (cases: ReadonlyArray<CaseReport>): ReadonlyArray<string> => [...new Set(cases.map(({ group }) => group))]

/** The whole table: cases under their groups, a summary of each group, and the total. */
export const table = ({ cases, directory, engine, others, passed }: Report): string => {
  const groups = groupsOf(cases)
  const inGroup = (group: string) => cases.filter((each) => each.group === group)
  const left = cases.filter(({ verdict }) => verdict === "not run" || verdict === "unknown")
  return [
    `${directory} on ${engine}`,
    "",
    line("array", "absolute", "relative", "tolerance", "verdict"),
    "",
    ...groups.flatMap((group) => [...inGroup(group).flatMap(caseLines), summary(group, inGroup(group)), ""]),
    "The worst of each kind of number:",
    ...quantityLines(cases),
    "",
    ...groups.map((group) => summary(group, inGroup(group))),
    summary("total", cases),
    ...left.map((each) => `${each.verdict}: ${each.case}: ${each.why ?? ""}`),
    ...(others.length === 0 ? [] : [`In no case of the manifest, not looked at: ${others.join(", ")}`]),
    passed ? "All cases passed." : "Not all cases passed.",
    ""
  ].join("\n")
}

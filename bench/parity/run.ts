/** Runs cases and judges what they find. A case that cannot be run, is unknown or says nothing about an array has not passed. */
import { Cause, Effect, Exit, Option } from "effect"
import type { Backend } from "../../src/model/Backend.ts"
import { kindOf } from "./cases/index.ts"
import { type ArrayDescription, descriptionOf, type Directory, type FixtureCase } from "./Directory.ts"
import { type Comparison, type Finding, isComparison, isLeftOut, judge, type Judgement, type LeftOut, NotRun } from "./Finding.ts"

/** One line of the table. */
export interface Row extends Judgement {
  readonly array: string
  readonly part?: string
  readonly quantity: Comparison["quantity"]
  readonly note?: string
}

export interface CaseReport {
  readonly case: string
  readonly group: string
  readonly verdict: "passed" | "failed" | "not run" | "unknown"
  readonly rows: ReadonlyArray<Row>
  /** Arrays of the reference without a counterpart here, and why. */
  readonly leftOut: ReadonlyArray<LeftOut>
  /** Why it failed as a whole, was not run or is unknown. */
  readonly why?: string
}

const rowOf = (comparison: Comparison): Row => {
  const { array, note, part, quantity } = comparison
  return { array, ...(part === undefined ? {} : { part }), quantity, ...judge(comparison), ...(note === undefined ? {} : { note }) }
}

const isResult = (description: ArrayDescription | undefined): boolean => ["output", "intermediate"].includes(description?.role ?? "output")

/** Outputs and intermediate values of the case's file that nothing was found out about. A case of numbers only may have no file. */
const unmentioned = (directory: Directory, each: FixtureCase, findings: ReadonlyArray<Finding>): ReadonlyArray<string> => {
  const described = Object.values(each.arrays)
  if (described.length > 0 && !described.some(isResult)) return []
  const mentioned = new Set(findings.map(({ array }) => array))
  return directory.fixture(each.name).names.filter((name) => isResult(descriptionOf(each, name)) && !mentioned.has(name))
}

const report = (each: FixtureCase, verdict: CaseReport["verdict"], why?: string): CaseReport =>
  ({ case: each.name, group: each.group, verdict, rows: [], leftOut: [], ...(why === undefined ? {} : { why }) })

const judged = (directory: Directory, each: FixtureCase, findings: ReadonlyArray<Finding>): CaseReport => {
  const rows = findings.filter(isComparison).map(rowOf)
  const missed = unmentioned(directory, each, findings)
  const why = missed.length > 0
    ? `not compared: ${missed.slice(0, 5).join(", ")}${missed.length > 5 ? ` and ${missed.length - 5} more` : ""}`
    : rows.length === 0 ? "nothing was compared" : undefined
  const passed = why === undefined && rows.every((row) => row.passed)
  return { ...report(each, passed ? "passed" : "failed", why), rows, leftOut: findings.filter(isLeftOut) }
}

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}

const failed = (each: FixtureCase, cause: Cause.Cause<unknown>): CaseReport => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  return error instanceof NotRun ? report(each, "not run", error.why) : report(each, "failed", messageOf(cause))
}

/** Runs one case. It does not fail: what goes wrong is in the report. */
export const runCase = (directory: Directory, each: FixtureCase): Effect.Effect<CaseReport, never, Backend> => {
  const run = kindOf(each.name)
  if (run === undefined) return Effect.succeed(report(each, "unknown", "this program knows no such case"))
  return Effect.suspend(() => run(directory, each)).pipe(
    Effect.map((findings) => judged(directory, each, findings)),
    Effect.exit,
    Effect.map((exit) => Exit.isSuccess(exit) ? exit.value : failed(each, exit.cause))
  )
}

/** Everything about one run. */
export interface Report {
  readonly directory: string
  readonly engine: string
  readonly cases: ReadonlyArray<CaseReport>
  /** Files that belong to no case of the manifest; nobody looked at them. */
  readonly others: ReadonlyArray<string>
  readonly passed: boolean
}

/** Runs all cases of a directory in the manifest's order. */
export const runDirectory = (directory: Directory, engine: string): Effect.Effect<Report, never, Backend> =>
  Effect.map(Effect.forEach(directory.cases, (each) => runCase(directory, each)), (cases) => ({
    directory: directory.path,
    engine,
    cases,
    others: directory.others(),
    passed: cases.every(({ verdict }) => verdict === "passed")
  }))

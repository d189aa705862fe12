/** The reference's cases as tests: each is run as `npm run parity` runs it, on the numbers in test/fixtures. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type Finding, isComparison, judge } from "../../bench/parity/Finding.ts"
import { type CaseReport, runCase } from "../../bench/parity/run.ts"
import { Backend } from "../../src/model/Backend.ts"
import { directory, fixtureCase } from "./fixtures.ts"
import { remember } from "./tolerances.ts"

type Judged = Pick<CaseReport["rows"][number], "array" | "part" | "passed" | "problem" | "quantity" | "relative" | "tolerance">

const assertRow = (name: string, { array, part, passed, problem, quantity, relative, tolerance }: Judged): void => {
  const what = `${name}: ${array}${part === undefined ? "" : ` (${part})`}`
  remember(quantity, relative, what)
  assert.isTrue(passed, `${what}: ${problem ?? `relative error ${relative}, tolerance ${tolerance}`}`)
}

/** Asserts that every comparison holds, and that there are some. */
export const assertFindings = (name: string, findings: ReadonlyArray<Finding>): void => {
  const comparisons = findings.filter(isComparison)
  assert.isAbove(comparisons.length, 0, name)
  for (const comparison of comparisons) assertRow(name, { ...comparison, ...judge(comparison) })
}

/** Asserts that a case passes, that it compares everything recorded, and that it leaves nothing on the device. */
export const assertCase = Effect.fnUntraced(function*(name: string) {
  const { live } = yield* Backend
  const before = yield* live
  const report = yield* runCase(directory, fixtureCase(name))
  for (const row of report.rows) assertRow(name, row)
  assert.deepStrictEqual([report.verdict, report.why], ["passed", undefined], name)
  assert.strictEqual(yield* live, before, "live tensors")
  return report
})

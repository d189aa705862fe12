/** What a case finds out: arrays computed and recorded, side by side. */
import { Data, type Effect } from "effect"
import type { Backend } from "../../src/model/Backend.ts"
import type { Directory, FixtureCase } from "./Directory.ts"
import { type Quantity, type ErrorMeasure, measureError, tolerances } from "./tolerances.ts"

/** One array of the reference and what this library computed for it. */
export interface Comparison {
  /** Its name in the case's file, or that of a single number of the manifest. */
  readonly array: string
  /** Which part of it, where it is not all that is compared. */
  readonly part?: string
  readonly quantity: Quantity
  readonly actual: ArrayLike<number>
  readonly expected: ArrayLike<number>
  readonly note?: string
}

/** An array of the reference that has no counterpart, and why. */
export interface LeftOut {
  readonly array: string
  readonly why: string
}

export type Finding = Comparison | LeftOut

/** The case cannot be run: the library or the directory lacks something. */
export class NotRun extends Data.TaggedError("NotRun")<{ readonly why: string }> {
  override get message(): string {
    return this.why
  }
}

/** How one kind of case is run. The findings name every output and intermediate array of the case's file. */
export type RunCase = (directory: Directory, each: FixtureCase) => Effect.Effect<ReadonlyArray<Finding>, unknown, Backend>

export const isComparison = (finding: Finding): finding is Comparison => "quantity" in finding

export const isLeftOut = (finding: Finding): finding is LeftOut => !isComparison(finding)

/** A comparison's errors, its tolerance, and whether it holds. Another length, or no values at all, does not. */
export interface Judgement extends ErrorMeasure {
  readonly tolerance: number
  readonly passed: boolean
  readonly problem?: string
}

export const judge = ({ actual, expected, quantity }: Comparison): Judgement => {
  const tolerance = tolerances[quantity]
  const errors = measureError(actual, expected)
  const problem = actual.length !== expected.length
    ? `${actual.length} values instead of ${expected.length}`
    : expected.length === 0 ? "nothing to compare" : undefined
  return { ...errors, tolerance, passed: problem === undefined && errors.relative <= tolerance, ...(problem === undefined ? {} : { problem }) }
}

/** Two maps of texts as an exact comparison: one value a name of either, 1 where they agree. The note lists where they do not. */
export const agreement = (array: string, actual: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>): Comparison => {
  const names = [...new Set([...expected.keys(), ...actual.keys()])]
  const wrong = names.filter((name) => actual.get(name) !== expected.get(name))
  return {
    array,
    quantity: "exact",
    actual: names.map((name) => Number(!wrong.includes(name))),
    expected: names.map(() => 1),
    ...(wrong.length === 0 ? {} : { note: `differ: ${wrong.slice(0, 5).join(", ")}${wrong.length > 5 ? ", …" : ""}` })
  }
}

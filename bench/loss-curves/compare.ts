/**
 * Both sides' runs compared, window by window: does the mean of one side's three runs lie within the spread of the other's,
 * and is the difference of the means more than chance? Writes `results/` and `docs/loss-curves.svg`.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Curves, readCurves } from "./curves.ts"
import { plot } from "./plot.ts"
import { settings, type Side, sides } from "./settings.ts"
import { deviation, mean, pValue, splits, widening, within } from "./statistics.ts"

const results = fileURLToPath(new URL("results", import.meta.url))
const picture = fileURLToPath(new URL("../../docs/loss-curves.svg", import.meta.url))

/** Steps at the end whose mean is a run's final loss. */
const finalSteps = 100

type Runs = ReadonlyArray<ReadonlyArray<number>>

const at = (runs: Runs, window: number): ReadonlyArray<number> => runs.map((run) => run[window]!)

/** What is counted over the windows of two threes of runs. */
const count = (a: Runs, b: Runs) => {
  const windows = Array.from(a[0]!.keys(), (i) => [at(a, i), at(b, i)] as const)
  const apart = windows.map(([first, second]) => Math.abs(mean(first) - mean(second)) / deviation(first, second))
  const pValues = windows.map(([first, second]) => pValue(first, second))
  return {
    firstWithinSecond: windows.filter(([first, second]) => within(first, second)).length,
    secondWithinFirst: windows.filter(([first, second]) => within(second, first)).length,
    largestDeviation: Math.max(...apart),
    meanDeviation: mean(apart),
    significant: pValues.filter((p) => p < 0.05).length,
    smallestP: Math.min(...pValues)
  }
}

const finalOf = (runs: Runs) => {
  const values = runs.map((run) => mean(run))
  return { runs: values.map(rounded), mean: rounded(mean(values)), deviation: rounded(deviation(values, values)) }
}

const rounded = (value: number): number => Number(value.toPrecision(5))

const judge = ({ branch, runs, steps }: Curves) => {
  const six = [...runs.reference, ...runs.ours]
  const ways = splits.map(([first, second]) => count(first.map((i) => six[i]!), second.map((i) => six[i]!)))
  const own = ways[0]!
  const others = ways.slice(1)
  const last = finalSteps / settings.window
  const ends = (side: Side): Runs => runs[side].map((run) => run.slice(-last))
  const [reference, ours] = [ends("reference"), ends("ours")]
  return {
    branch,
    windows: steps.length,
    oursWithinReference: own.secondWithinFirst,
    referenceWithinOurs: own.firstWithinSecond,
    withinInOtherSplits: rounded(mean(others.flatMap((way) => [way.firstWithinSecond, way.secondWithinFirst]))),
    largestDeviation: rounded(own.largestDeviation),
    meanDeviation: rounded(own.meanDeviation),
    meanDeviationInOtherSplits: rounded(mean(others.map((way) => way.meanDeviation))),
    windowsBelowFivePercent: own.significant,
    smallestP: rounded(own.smallestP),
    permutationP: ways.filter((way) => way.meanDeviation >= own.meanDeviation).length / ways.length,
    final: {
      steps: finalSteps,
      reference: finalOf(reference),
      ours: finalOf(ours),
      p: rounded(pValue(reference.map((run) => mean(run)), ours.map((run) => mean(run))))
    }
  }
}

const csv = (curves: ReadonlyArray<Curves>): string => {
  const columns = sides.flatMap((side) => settings.seeds.map((seed) => `${side} ${seed}`))
  const lines = curves.flatMap(({ branch, runs, steps }) =>
    steps.map((step, i) => [branch, step, ...sides.flatMap((side) => at(runs[side], i).map((loss) => loss.toFixed(5)))].join(",")))
  return [`branch,step,${columns.join(",")}`, ...lines, ""].join("\n")
}

/** Compares the runs in `folder`; returns what it found as JSON. */
export const compare = (folder: string): string => {
  const curves = readCurves(folder)
  const summary = `${JSON.stringify({ steps: settings.steps, window: settings.window, seeds: settings.seeds, widening, branches: curves.map(judge) }, undefined, 1)}\n`
  mkdirSync(results, { recursive: true })
  writeFileSync(join(results, "summary.json"), summary)
  writeFileSync(join(results, "curves.csv"), csv(curves))
  writeFileSync(picture, plot(curves))
  return summary
}

/** Runs as curves: means over windows of steps, branch by branch. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { settings, type Side, type StepLosses } from "./settings.ts"
import { mean } from "./statistics.ts"

export const branches = ["denoiserLoss", "decoderLoss"] as const

export type Branch = (typeof branches)[number]

/** One branch of all runs. */
export interface Curves {
  readonly branch: Branch
  /** Last step of each window. */
  readonly steps: ReadonlyArray<number>
  /** `[seed][window]` of each side. */
  readonly runs: Readonly<Record<Side, ReadonlyArray<ReadonlyArray<number>>>>
}

const readRun = (folder: string, side: Side, seed: number): ReadonlyArray<StepLosses> =>
  readFileSync(join(folder, `${side}-${seed}.jsonl`), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as StepLosses)

/** The mean over the steps of a window that had rows of the branch: both sides report 0 for the others. */
const windows = (run: ReadonlyArray<StepLosses>, branch: Branch, size: number): ReadonlyArray<number> =>
  Array.from({ length: run.length / size }, (_, i) => mean(run.slice(i * size, (i + 1) * size).map((step) => step[branch]).filter((loss) => loss > 0)))

/** The curves of all runs in `folder`, over windows of `size` steps. */
export const readCurves = (folder: string, size: number = settings.window): ReadonlyArray<Curves> => {
  const runsOf = (side: Side) => settings.seeds.map((seed) => readRun(folder, side, seed))
  const runs = { reference: runsOf("reference"), ours: runsOf("ours") }
  return branches.map((branch) => ({
    branch,
    steps: Array.from({ length: settings.steps / size }, (_, i) => (i + 1) * size),
    runs: {
      reference: runs.reference.map((run) => windows(run, branch, size)),
      ours: runs.ours.map((run) => windows(run, branch, size))
    }
  }))
}

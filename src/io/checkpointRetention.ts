/**
 * Which checkpoints of a run are kept when a new one is written.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { join } from "node:path"
import { CheckpointError } from "./CheckpointError.ts"
import { readText } from "./checkpointFiles.ts"
import type { StepFolder } from "./checkpointFolders.ts"
import { manifestName, parse } from "./checkpointManifest.ts"

/** What is kept: whatever any of the rules keeps; everything where `keep` is absent. */
export interface Retention {
  /** The last so many. */
  readonly keep?: number
  /** Those whose step is a multiple of this. */
  readonly keepEvery?: number
  /** The `count` with the least number under `metric` in their metadata; the earlier ones of equals. */
  readonly keepBest?: { readonly count: number; readonly metric: string }
}

const isCount = (value: number | undefined, least: number): boolean => value === undefined || (Number.isSafeInteger(value) && value >= least)

/** Fails on numbers that are none. */
export const checkRetention = (path: string, { keep, keepBest, keepEvery }: Retention): Effect.Effect<void, CheckpointError> => {
  const wrong = [["keep", keep, 1], ["keepEvery", keepEvery, 1], ["keepBest", keepBest?.count, 0]] as const
  const [name, value, least] = wrong.find(([, value, least]) => !isCount(value, least)) ?? []
  return name === undefined ? Effect.void : Effect.fail(
    new CheckpointError({ path, reason: "badInput", detail: `${name} is ${value}`, remedy: `give a whole number, ${least} or more` })
  )
}

/** The number under `metric`; Infinity where there is none, or no manifest that can be read. */
const scoreOf = (runFolder: string, { name }: StepFolder, metric: string): Effect.Effect<number> => {
  const folder = join(runFolder, name)
  return readText(join(folder, manifestName), folder).pipe(
    Effect.flatMap((text) => parse(folder, text)),
    Effect.map(({ metadata }) => Number.isFinite(metadata[metric]) ? metadata[metric] as number : Infinity),
    Effect.orElseSucceed(() => Infinity)
  )
}

const best = (runFolder: string, steps: ReadonlyArray<StepFolder>, { keepBest }: Retention): Effect.Effect<ReadonlyArray<StepFolder>> =>
  keepBest === undefined || keepBest.count === 0 ? Effect.succeed([]) : Effect.map(
    Effect.forEach(steps, (step) => Effect.map(scoreOf(runFolder, step, keepBest.metric), (score) => ({ step, score }))),
    (scored) => scored.filter(({ score }) => score < Infinity).sort((a, b) => a.score - b.score).slice(0, keepBest.count).map(({ step }) => step)
  )

/** What may go of a run's checkpoints, which are in order: older revisions of a step, and what no rule keeps. */
export const outdated = (runFolder: string, steps: ReadonlyArray<StepFolder>, retention: Retention): Effect.Effect<ReadonlyArray<StepFolder>> =>
  Effect.gen(function*() {
    const { keep, keepEvery } = retention
    const rewritten = steps.filter((one) => steps.some((other) => other.step === one.step && other.revision > one.revision))
    const current = steps.filter((one) => !rewritten.includes(one))
    if (keep === undefined) return rewritten
    const old = current.slice(0, Math.max(0, current.length - keep))
    const kept = new Set(yield* best(runFolder, current, retention))
    return [...rewritten, ...old.filter((one) => !kept.has(one) && !(keepEvery !== undefined && one.step % keepEvery === 0))]
  })

/**
 * One process's share of an inference: what is left of it, one unit after the other, and what came of all of it.
 *
 * @since 0.1.0
 */
import { Clock, Effect } from "effect"
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { attempt, type DiskError } from "../../io/Disk.ts"
import { Parquet } from "../../io/index.ts"
import type { Problem, Tell, UnitReport } from "./events.ts"
import { InferenceError } from "./InferenceError.ts"
import { type Inference, unitsOfShard } from "./open.ts"
import type { Unit } from "./plan.ts"
import type { Shard } from "./request.ts"
import { sweep } from "./sweep.ts"
import { addressOf, digestOf } from "./unit.ts"

/** What a share of the work is, before it begins. */
export interface Share {
  /** All units of the share. */
  readonly units: ReadonlyArray<Unit>
  /** Those that are not done yet. */
  readonly pending: ReadonlyArray<Unit>
  /** Those that are. */
  readonly finished: ReadonlyArray<UnitReport>
}

/** What one or more units came to. */
export interface Totals {
  readonly units: number
  readonly rows: number
  /** Rows without a result, those of row groups that were passed over included. */
  readonly failedRows: number
  readonly tokens: number
  /** Share of the encoder's positions that were padding, in [0, 1); 0 where the encoder had nothing to do. */
  readonly padding: number
  readonly bytes: number
}

/** Sums over reports. */
export const totals = (reports: ReadonlyArray<UnitReport>): Totals => {
  const sum = (part: (report: UnitReport) => number) => reports.reduce((total, report) => total + part(report), 0)
  const [seen, given] = [sum(({ promptTokens }) => promptTokens), sum(({ promptPositions }) => promptPositions)]
  return {
    units: reports.length,
    rows: sum(({ rows }) => rows),
    failedRows: sum(({ failedRows }) => failedRows),
    tokens: sum(({ tokens }) => tokens),
    padding: given === 0 ? 0 : 1 - seen / given,
    bytes: sum(({ bytes }) => bytes)
  }
}

const isInPlace = ({ request }: Inference, { bytes, part }: UnitReport): Effect.Effect<boolean, DiskError> => {
  const path = join(request.output, part)
  return attempt("look at", path, () =>
    stat(path).then(({ size }) => size === bytes, (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false
      throw error
    }))
}

/** Fails where the columns that a finished part was made from have changed; unless the file was touched, that is seen at once. */
const checkInput = Effect.fnUntraced(function*(inference: Inference, unit: Unit, report: UnitReport, version: string) {
  if (version !== "" && version === report.inputVersion) return
  const path = addressOf(inference, unit.input)
  const digest = digestOf(yield* Effect.scoped(Effect.flatMap(inference.usedColumns(unit), (columns) => Parquet.digestColumns(columns))))
  if (digest !== report.inputSha256) {
    return yield* new InferenceError({
      reason: "changed",
      where: path,
      detail: `row group ${unit.rowGroup} has changed since ${unit.part} was made from it`,
      remedy: "Put the file back as it was, or start over with --fresh"
    })
  }
})

/** What is left of a share: a part counts as done when the manifest has it, it is in place, and its input is unchanged. */
export const shareOf = Effect.fnUntraced(function*(inference: Inference, shard: Shard = { index: 0, count: 1 }) {
  const units = unitsOfShard(inference.units, shard)
  const done = yield* inference.done
  const versions = new Map<string, string>()
  const pending: Array<Unit> = []
  const finished: Array<UnitReport> = []
  for (const unit of units) {
    const report = done.get(unit.part)
    if (report === undefined || !(yield* isInPlace(inference, report))) {
      pending.push(unit)
      continue
    }
    if (unit.input !== "") {
      const version = versions.get(unit.input) ?? (yield* Parquet.versionOf(addressOf(inference, unit.input)))
      versions.set(unit.input, version)
      yield* checkInput(inference, unit, report, version)
    }
    finished.push(report)
  }
  return { units, pending, finished } satisfies Share
})

/** What one process did. */
export interface InferenceSummary extends Totals {
  /** Of this process. */
  readonly seconds: number
  /** Units that were done before. */
  readonly resumed: number
  /** Row groups and files that were passed over. */
  readonly passedOver: ReadonlyArray<Problem>
  /** Units of the whole inference, and how many of them are not done, by this process or any other. */
  readonly total: number
  readonly open: number
}

/** The name of a shard's writer. */
export const shardWriter = ({ count, index }: Shard): string => `shard-${index}-of-${count}`

const unreadable = ({ plan }: Inference): ReadonlyArray<Problem> =>
  plan.unreadable.map(({ name, problem }) => ({ input: name, error: problem }))

/** Does what is left of a shard, one unit after the other. `layer` of the inference must be provided. */
export const runShard = Effect.fnUntraced(function*(inference: Inference, share: Share, shard: Shard = { index: 0, count: 1 }, tell?: Tell) {
  const started = yield* Clock.currentTimeMillis
  const reports = yield* Effect.scoped(Effect.gen(function*() {
    const run = yield* inference.runner(shardWriter(shard), tell)
    return yield* Effect.forEach(share.pending, run)
  }))
  yield* sweep(inference.request.output, inference.units)
  const done = yield* inference.done
  const passed = reports.filter(({ problem }) => problem !== undefined)
  return {
    ...totals(reports),
    seconds: ((yield* Clock.currentTimeMillis) - started) / 1000,
    resumed: share.finished.length,
    passedOver: [...unreadable(inference), ...passed.map(({ input, problem, rowGroup }) => ({ input, rowGroup, error: problem! }))],
    total: inference.units.length,
    open: inference.units.filter(({ part }) => !done.has(part)).length
  } satisfies InferenceSummary
}, (effect, { plan, request }) => Effect.withSpan(effect, "inference", {
  attributes: { "elf.task": request.task, "elf.configuration": plan.configurationHash, "elf.output": request.output }
}))

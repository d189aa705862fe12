/**
 * What an output folder holds, from all processes that write or wrote to it.
 *
 * @since 0.1.0
 */
import { Effect, Option } from "effect"
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { attempt, type DiskError } from "../../io/Disk.ts"
import { PartManifest } from "../../io/index.ts"
import type { Problem, UnitReport } from "./events.ts"
import { InferenceError } from "./InferenceError.ts"
import { unitsOfPlan } from "./plan.ts"
import { bookFolder, readPlan } from "./planFile.ts"
import { type Totals, totals } from "./run.ts"

/** One process's work. */
export interface WriterStatus {
  /** Such as `shard-0-of-4`. */
  readonly name: string
  readonly units: number
  readonly seconds: number
}

/** The merged view of an output folder. */
export interface Status extends Totals {
  readonly task: string
  readonly model: string
  readonly configurationHash: string
  readonly files: number
  /** Units of the plan. */
  readonly total: number
  /** Parts that are not done, passed-over ones not among them. */
  readonly open: ReadonlyArray<string>
  /** Row groups and files that were passed over. */
  readonly passedOver: ReadonlyArray<Problem>
  /** Parts that the manifest names and that are not there, or not of the size (with `verify`: the sha256) it says. */
  readonly damaged: ReadonlyArray<string>
  readonly writers: ReadonlyArray<WriterStatus>
}

const isWhole = async (path: string, { bytes, sha256 }: UnitReport, verify: boolean): Promise<boolean> => {
  const { size } = await stat(path)
  if (size !== bytes || !verify) return size === bytes
  const hash = createHash("sha256")
  await pipeline(createReadStream(path), hash)
  return hash.digest("hex") === sha256
}

const findDamaged = (output: string, reports: ReadonlyArray<UnitReport>, verify: boolean): Effect.Effect<ReadonlyArray<string>, DiskError> =>
  Effect.map(
    Effect.forEach(reports, (report) => {
      const path = join(output, report.part)
      return attempt("read", path, () => isWhole(path, report, verify)).pipe(
        Effect.catchTag("DiskError", (error) => error.code === "ENOENT" ? Effect.succeed(false) : Effect.fail(error)),
        Effect.map((whole) => whole ? [] : [report.part])
      )
    }),
    (found) => found.flat()
  )

const noPlan = (output: string) =>
  new InferenceError({ reason: "output", where: output, detail: "no inference was begun here", remedy: "Give the --output folder of elf infer" })

/** The state of an output folder. */
export const status = Effect.fnUntraced(function*(output: string, { verify = false }: { readonly verify?: boolean } = {}) {
  const found = yield* readPlan(output)
  if (Option.isNone(found)) return yield* noPlan(output)
  const { configuration, configurationHash, files, unreadable } = found.value
  const units = unitsOfPlan(found.value)
  const records = yield* PartManifest.read(bookFolder(output))
  const reports = units.flatMap(({ part }) => records.get(part) ?? [])
  const done = reports.filter(({ problem }) => problem === undefined)
  const writers = yield* PartManifest.readWriters(bookFolder(output))
  return {
    ...totals(done),
    failedRows: totals(reports).failedRows,
    task: String(configuration["task"]),
    model: String(configuration["model"]),
    configurationHash,
    files: files.length + unreadable.length,
    total: units.length,
    open: units.filter(({ part }) => !records.has(part)).map(({ part }) => part),
    passedOver: [
      ...unreadable.map(({ name, problem }) => ({ input: name, error: problem })),
      ...reports.flatMap(({ input, problem, rowGroup }) => problem === undefined ? [] : [{ input, rowGroup, error: problem }])
    ],
    damaged: yield* findDamaged(output, done, verify),
    writers: writers.map(({ name, records }) => ({ name, units: records.length, seconds: records.reduce((sum, { seconds }) => sum + seconds, 0) }))
  } satisfies Status
})

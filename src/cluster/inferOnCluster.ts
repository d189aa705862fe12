/**
 * A batch inference as a job of a cluster: a unit for each row group.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Scope } from "effect"
import { hostname } from "node:os"
import { PartManifest } from "../io/index.ts"
import * as Inference from "../run/inference/index.ts"
import { jobId } from "./jobId.ts"
import { type FailedUnit, type JobWatch, runJob, type RunnerOptions } from "./runJob.ts"

/** What all runners came to. But for `seconds` and `doneHere` every process says the same. */
export interface ClusterSummary extends Inference.Totals {
  /** Of this process. */
  readonly seconds: number
  /** Row groups that this process did. */
  readonly doneHere: number
  /** Row groups and files that were passed over. */
  readonly passedOver: ReadonlyArray<Inference.Problem>
  /** Row groups that could not be done. */
  readonly failed: ReadonlyArray<FailedUnit>
  /** Units of the whole inference. */
  readonly total: number
  /** Schema of the database that holds the job's state. */
  readonly schema: string
}

/** Told of what happens here, and of where the job stands. */
export interface ClusterWatch extends JobWatch {
  readonly tell: Inference.Tell
}

type RunUnit = (unit: Inference.Unit) => Effect.Effect<Inference.UnitReport, Inference.UnitError, Inference.TaskServices>

/** A writer for each unit that is done at once; each does one after the other. */
const writers = (inference: Inference.Inference, tell: Inference.Tell) =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const name = `runner-${hostname().replaceAll(/[^A-Za-z0-9]/g, "-").slice(0, 60)}-${process.pid}`
    const idle: Array<RunUnit> = []
    let opened = 0
    const take = Effect.suspend(() => {
      const writer = idle.pop()
      return writer === undefined ? Scope.provide(inference.runner(`${name}-${opened++}`, tell), scope) : Effect.succeed(writer)
    })
    return (unit: Inference.Unit) => Effect.acquireUseRelease(take, (run) => run(unit), (run) => Effect.sync(() => void idle.push(run)))
  })

/** The report of a unit that is done already: what was found at the start, or what a lost runner got as far as to publish. */
const reportOf = (inference: Inference.Inference, index: number) =>
  Effect.map(Inference.shareOf(inference, { index, count: inference.units.length }), ({ finished }) => finished[0])

/** A full or distant disk may be mended within seconds; what a file or a device says stays so. */
const isTransient = (error: Inference.UnitError | Inference.OpenInferenceError): boolean =>
  error._tag === "DiskError" || (error._tag === "ParquetError" && error.reason === "disk")

const describe = ({ plan, request }: Inference.Inference): string =>
  `${request.task} with ${String(plan.configuration["model"]).replace(/, sha256.*/, "")}, ${plan.files.length} input files`

/**
 * Works on `inference` together with every process that does the same on `options.database`, until it is done. The output
 * folder, the input and the checkpoint must be the same files for all of them; `inference.layer` must be provided.
 */
export const inferOnCluster = Effect.fnUntraced(function*(inference: Inference.Inference, options: RunnerOptions, watch: ClusterWatch) {
  const started = yield* Clock.currentTimeMillis
  const key = yield* jobId(inference)
  const before = yield* Inference.shareOf(inference)
  const finished = new Map(before.finished.map((report) => [report.part, report]))
  const summary = yield* Effect.scoped(Effect.gen(function*() {
    const run = yield* writers(inference, watch.tell)
    return yield* runJob({
      key,
      description: describe(inference),
      units: inference.units.map(({ part }) => part),
      run: Effect.fnUntraced(function*(index: number, again: boolean) {
        const unit = inference.units[index]!
        const known = again ? yield* reportOf(inference, index) : finished.get(unit.part)
        return known ?? (yield* run(unit))
      }),
      report: PartManifest.PartRecord,
      isTransient,
      isPublished: Effect.map(Inference.shareOf(inference), ({ pending }) => pending.length === 0),
      stopOnFailure: (inference.request.onError ?? "fail") === "fail"
    }, options, watch)
  }))
  yield* Inference.sweep(inference.request.output, inference.units)
  const { doneHere, failed, reports, schema } = summary
  const passed = reports.flatMap(({ input, problem, rowGroup }) => problem === undefined ? [] : [{ input, rowGroup, error: problem }])
  return {
    ...Inference.totals(reports),
    seconds: ((yield* Clock.currentTimeMillis) - started) / 1000,
    doneHere,
    passedOver: [...inference.plan.unreadable.map(({ name, problem }) => ({ input: name, error: problem })), ...passed],
    failed,
    total: inference.units.length,
    schema
  } satisfies ClusterSummary
})

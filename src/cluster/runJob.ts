/**
 * A job of many units, done by all processes that call this with the same job.
 *
 * @since 0.1.0
 */
import { Cause, Duration, Effect, Layer, Option, References, Schedule, Schema } from "effect"
import { DurableQueue } from "effect/workflow"
import { fromSqlError, UnitFailedError } from "./ClusterError.ts"
import * as Database from "./Database.ts"
import * as Journal from "./Journal.ts"
import { Job, type Outcome, queueOf, Unit, workflowLayer } from "./rowGroups.ts"
import * as Runner from "./runner.ts"

/** What is to be done. Every process must be given the same key and the same units in the same order. */
export interface ClusterJob<Report, E, R> {
  /** Two jobs with the same key are the same job: lower-case letters, digits and `_`, at most 40. */
  readonly key: string
  /** For people. */
  readonly description: string
  /** Names of the units. */
  readonly units: ReadonlyArray<string>
  /**
   * Does a unit; doing it twice, even at the same time, must come to the same as doing it once. `again` where another runner
   * may have got as far as to publish it.
   */
  readonly run: (unit: number, again: boolean) => Effect.Effect<Report, E, R>
  readonly report: Schema.Codec<Report, unknown>
  /** Whether trying again may help. */
  readonly isTransient: (error: E) => boolean
  /** Whether what a finished job has published is still there. */
  readonly isPublished: Effect.Effect<boolean>
  /** Whether the first unit that fails for good ends the job. */
  readonly stopOnFailure: boolean
}

/** How a process takes part. */
export interface RunnerOptions {
  /** `postgres://user:password@host:port/database` */
  readonly database: string
  /** Units at once. */
  readonly concurrency: number
  /** A runner that was not heard of for this long is lost. Longer than the longest step that cannot be interrupted. */
  readonly lostAfter: Duration.Duration
}

/** Where the job stands. */
export interface JobProgress extends Journal.Counts {
  readonly total: number
}

/** A unit that could not be done. */
export interface FailedUnit {
  readonly unit: string
  readonly detail: string
}

/** What all runners did together: every one of them says the same. */
export interface JobSummary<Report> {
  readonly reports: ReadonlyArray<Report>
  readonly failed: ReadonlyArray<FailedUnit>
  /** Units that this process did. */
  readonly doneHere: number
  /** Schema of the database that holds the job's state. */
  readonly schema: string
}

/** Tries of a unit whose errors may pass. */
const tries = 4

/** Runners that may be lost with the same unit in hand before the unit is taken for the cause. */
const mostLost = 5

/** How long the database may be away. */
const patience = Duration.seconds(60)

const failure = (runner: string, detail: string): Outcome => ({ state: "failed", runner, detail })

const describeCause = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return Cause.hasDies(cause) ? Cause.pretty(cause) : error instanceof Error ? error.message : String(error)
}

/** Does one unit and writes down how it went; never fails. */
const answer = <Report, E, R>(job: ClusterJob<Report, E, R>, journal: Journal.Journal, runner: string) => ({ unit }: { readonly unit: number }) =>
  Effect.gen(function*() {
    const { lost, starts } = yield* journal.begin(unit)
    const outcome: Outcome = lost >= mostLost
      ? failure(runner, `${lost} runners were lost while they worked on it; it is not tried again.`)
      : yield* job.run(unit, starts > 1).pipe(
        Effect.retry({ times: tries - 1, while: job.isTransient, schedule: Schedule.exponential("500 millis") }),
        Effect.flatMap(Schema.encodeEffect(Schema.fromJsonString(job.report))),
        Effect.map((detail): Outcome => ({ state: "done", runner, detail })),
        Effect.catchCause((cause) => Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.succeed(failure(runner, describeCause(cause))))
      )
    yield* journal.end(unit, outcome.state, outcome.detail)
    return outcome
  }).pipe(Effect.onInterrupt(() => journal.release(unit)))

const isOver = ({ done, failed, total }: JobProgress): boolean => done + failed >= total

/** Looks at the journal every second until the job is over; tells `watch`. A database that is away is waited for. */
const untilOver = <Report, E, R, R2>(
  job: ClusterJob<Report, E, R>,
  journal: Journal.Journal,
  place: string,
  watch: (progress: JobProgress) => Effect.Effect<void, never, R2>
) =>
  Effect.gen(function*() {
    while (true) {
      const counts = yield* journal.counts.pipe(
        Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: patience }))),
        Effect.mapError(fromSqlError(place))
      )
      const progress = { ...counts, total: job.units.length }
      yield* watch(progress)
      if (job.stopOnFailure && progress.failed > 0) return yield* stopAtFailure(job, journal, place, progress.failed)
      if (isOver(progress)) return
      yield* Effect.sleep("1 second")
    }
  })

const stopAtFailure = Effect.fnUntraced(function*<Report, E, R>(job: ClusterJob<Report, E, R>, journal: Journal.Journal, place: string, failed: number) {
  const first = yield* Effect.mapError(Effect.tap(journal.firstFailed, journal.close("failed")), fromSqlError(place))
  const { detail, runner, unit } = first ?? { detail: "", runner: "", unit: 0 }
  return yield* new UnitFailedError({ unit: job.units[unit]!, runner, detail, failed })
})

/** The stored result of a unit's workflow, which follows within moments of the journal's line. */
const outcomeOf = (generation: number, unit: number) =>
  Effect.gen(function*() {
    const id = yield* Unit.executionId({ generation, unit })
    while (true) {
      const result = yield* Unit.poll(id)
      if (Option.isSome(result) && result.value._tag === "Complete") return yield* result.value.exit
      yield* Effect.sleep("200 millis")
    }
  })

const summarize = <Report, E, R>(job: ClusterJob<Report, E, R>, outcomes: ReadonlyArray<Outcome>, runner: string, schema: string) =>
  Effect.gen(function*() {
    const decode = Schema.decodeEffect(Schema.fromJsonString(job.report))
    const reports = yield* Effect.forEach(outcomes.filter(({ state }) => state === "done"), ({ detail }) => Effect.orDie(decode(detail)))
    const failed = outcomes.flatMap(({ detail, state }, unit) => state === "failed" ? [{ unit: job.units[unit]!, detail }] : [])
    const doneHere = outcomes.filter((outcome) => outcome.runner === runner && outcome.state === "done").length
    return { reports, failed, doneHere, schema } satisfies JobSummary<Report>
  })

/**
 * Works on `job` together with every process that does the same, until all units are done.
 *
 * Units are done at least once and published once: a unit whose runner is lost is dealt again within `lostAfter`.
 */
export const runJob = Effect.fnUntraced(function*<Report, E, R, R2>(
  job: ClusterJob<Report, E, R>,
  options: RunnerOptions,
  watch: (progress: JobProgress) => Effect.Effect<void, never, R2>
) {
  const database = yield* Database.parse(options.database)
  const address = Runner.newAddress()
  const schema = `elf_${job.key}`
  const runner = `${address.host}:${address.port}`
  const work = Effect.gen(function*() {
    const generation = yield* Runner.withSetUp(schema, options, Journal.joinGeneration({ description: job.description, units: job.units.length }, job.isPublished)).pipe(
      Effect.catchTag("SqlError", (error) => Effect.fail(fromSqlError(database.place)(error)))
    )
    const journal = yield* Journal.open(generation, runner)
    // The scope of the worker closes before the runner leaves, so that an interruption gives back what it has in hand.
    const cluster = Effect.scoped(Effect.gen(function*() {
      yield* Effect.forkScoped(DurableQueue.makeWorker(queueOf(generation), answer(job, journal, runner), { concurrency: options.concurrency }))
      yield* Job.execute({ generation, units: job.units.length }, { discard: true })
      yield* untilOver(job, journal, database.place, watch)
      const outcomes = yield* Effect.forEach(job.units, (_, unit) => outcomeOf(generation, unit), { concurrency: 4 })
      yield* Effect.mapError(journal.close("done"), fromSqlError(database.place))
      return yield* summarize(job, outcomes, runner, schema)
    }))
    return yield* Effect.provide(cluster, Layer.provideMerge(workflowLayer, Runner.layer(address, schema, options)))
  })
  return yield* work.pipe(
    Effect.provide(Database.layer(database, schema)),
    Effect.provideService(References.MinimumLogLevel, "Error")
  )
})

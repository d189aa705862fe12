/**
 * A job of many units, done by all processes that call this with the same job.
 *
 * @since 0.1.0
 */
import { Cause, Duration, Effect, Layer, Option, References, Schedule, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { fromSqlError, UnitFailedError } from "./ClusterError.ts"
import * as Database from "./Database.ts"
import { type DatabaseEvent, reach, throughLosses, type Waiting } from "./databaseLoss.ts"
import * as Journal from "./Journal.ts"
import { workInPlaces } from "./places.ts"
import { Job, type Outcome, Unit, workflowLayer } from "./rowGroups.ts"
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
  readonly isPublished: Effect.Effect<boolean, E>
  /** Whether the first unit that fails for good ends the job. */
  readonly stopOnFailure: boolean
}

/** How a process takes part. */
export interface RunnerOptions {
  /** `postgres://user:password@host:port/database` */
  readonly database: string
  /** Units at once; as many again may be added while units of lost runners wait. */
  readonly concurrency: number
  /** A runner that was not heard of for this long is lost. Longer than the longest step that cannot be interrupted. */
  readonly lostAfter: Duration.Duration
  /** How long the database may be away; default a minute. */
  readonly patience?: Duration.Duration | undefined
}

/** Where the job stands. */
export interface JobProgress extends Journal.Counts {
  readonly total: number
}

/** Is told where the job stands, every second, and when the database goes away and comes back. */
export interface JobWatch<R = never> {
  readonly progress: (progress: JobProgress) => Effect.Effect<void, never, R>
  readonly database: (event: DatabaseEvent) => Effect.Effect<void, never, R>
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

const defaultPatience = Duration.seconds(60)

const failure = (runner: string, detail: string): Outcome => ({ state: "failed", runner, detail })

const describeCause = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return Cause.hasDies(cause) ? Cause.pretty(cause) : error instanceof Error ? error.message : String(error)
}

/** Does one unit and writes down how it went; never fails. */
const answer = <Report, E, R>(job: ClusterJob<Report, E, R>, journal: Journal.Journal, runner: string) => (unit: number) =>
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
const untilOver = <Report, E, R, R2>(job: ClusterJob<Report, E, R>, journal: Journal.Journal, watch: JobWatch<R2>, waiting: Waiting<R2>) =>
  Effect.gen(function*() {
    while (true) {
      const counts = yield* throughLosses(journal.counts, waiting)
      const progress = { ...counts, total: job.units.length }
      yield* watch.progress(progress)
      if (job.stopOnFailure && progress.failed > 0) return yield* stopAtFailure(job, journal, progress.failed)
      if (isOver(progress)) return
      yield* Effect.sleep("1 second")
    }
  })

const stopAtFailure = Effect.fnUntraced(function*<Report, E, R>(job: ClusterJob<Report, E, R>, journal: Journal.Journal, failed: number) {
  const first = yield* Effect.tap(journal.firstFailed, journal.close("failed"))
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

const namesDatabase = <A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError, R>, place: string) =>
  Effect.catchTag(effect, "SqlError", (error) => Effect.fail(fromSqlError(place)(error as SqlError.SqlError)))

/**
 * Works on `job` together with every process that does the same, until all units are done.
 *
 * Units are done at least once and published once: a unit whose runner is lost is dealt again within `lostAfter`, and begun
 * even where all places are taken. A database that goes away is waited for; a {@link ClusterError} when it stays away.
 */
export const runJob = Effect.fnUntraced(function*<Report, E, R, R2>(job: ClusterJob<Report, E, R>, options: RunnerOptions, watch: JobWatch<R2>) {
  const database = yield* Database.parse(options.database)
  const { place } = database
  const address = Runner.newAddress()
  const schema = `elf_${job.key}`
  const runner = `${address.host}:${address.port}`
  const waiting: Waiting<R2> = { place, patience: options.patience ?? defaultPatience, tell: watch.database }
  const takePart = Effect.fnUntraced(function*(generation: number) {
    const journal = yield* Journal.open(generation, runner)
    const orphans = yield* Effect.map(Effect.context<SqlClient.SqlClient>(), (context) => Effect.provide(Runner.countOrphans(schema, generation, options), context))
    const work = answer(job, journal, runner)
    const places = workInPlaces({ generation, places: options.concurrency, work, orphans, wasBegun: journal.wasBegun })
    const untilSummary = Effect.gen(function*() {
      yield* untilOver(job, journal, watch, waiting)
      const outcomes = yield* Effect.forEach(job.units, (_, unit) => outcomeOf(generation, unit), { concurrency: 4 })
      yield* journal.close("done")
      return yield* summarize(job, outcomes, runner, schema)
    })
    // The scope of the places closes before the runner leaves, so that an interruption gives back what it has in hand.
    const cluster = Effect.scoped(Effect.andThen(Job.execute({ generation, units: job.units.length }, { discard: true }), Effect.raceFirst(untilSummary, places)))
    return yield* Effect.provide(cluster, Layer.provideMerge(workflowLayer, Runner.layer(address, schema, options)))
  })
  const join = Runner.withSetUp(schema, options, Journal.joinGeneration({ description: job.description, units: job.units.length }, job.isPublished))
  return yield* Effect.andThen(reach(waiting), throughLosses(join, waiting)).pipe(
    Effect.flatMap((generation) => throughLosses(takePart(generation), waiting)),
    (effect) => namesDatabase(effect, place),
    Effect.provide(Database.layer(database, schema)),
    // What the engine logs is that the database went away, in its own words, again and again.
    Effect.provideService(References.MinimumLogLevel, "None")
  )
})

/**
 * What the runners of a job write down for people and for each other: which unit is where, how often it was lost, how it ended.
 *
 * **Details** The journal is a view. Whether a unit is done is what the workflow engine has stored; a line that is missing
 * here costs a second look, never an answer.
 *
 * @since 0.1.0
 */
import { Effect, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql"

/** How many units are where. */
export interface Counts {
  readonly done: number
  readonly failed: number
  readonly running: number
  /** Runners that have a unit in hand. */
  readonly runners: number
}

/** A unit that failed for good. */
export interface FailedUnit {
  readonly unit: number
  readonly runner: string
  readonly detail: string
}

/** The tables; run under the lock of the job's set-up. */
export const createTables = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS job (
    generation INT PRIMARY KEY, state TEXT NOT NULL, description TEXT NOT NULL, units INT NOT NULL, started_at TIMESTAMPTZ NOT NULL DEFAULT now())`
  yield* sql`CREATE TABLE IF NOT EXISTS units (
    generation INT, unit INT, state TEXT NOT NULL, runner TEXT NOT NULL, starts INT NOT NULL, lost INT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL, ended_at TIMESTAMPTZ, detail TEXT, PRIMARY KEY (generation, unit))`
  yield* sql`CREATE INDEX IF NOT EXISTS units_begun ON units (generation, unit) WHERE state IN ('running', 'waiting')`
})

/** What a job is called and how large it is. */
export interface JobEntry {
  readonly description: string
  readonly units: number
}

/**
 * The generation that a process takes part in: the one under way, or a new one when the last has failed, or is done but what
 * it published is gone. Run under the lock of the job's set-up.
 */
export const joinGeneration = <E>(job: JobEntry, isPublished: Effect.Effect<boolean, E>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [latest] = yield* sql<{ generation: number; state: string }>`SELECT generation, state FROM job ORDER BY generation DESC LIMIT 1`
    if (latest?.state === "open") return latest.generation
    if (latest?.state === "done" && (yield* isPublished)) return latest.generation
    const generation = (latest?.generation ?? 0) + 1
    yield* sql`INSERT INTO job (generation, state, description, units) VALUES (${generation}, 'open', ${job.description}, ${job.units})`
    return generation
  })

/** A database that is away for a while is waited for: the watch over the job decides when it is too long. */
const untilThere = <A, R>(effect: Effect.Effect<A, SqlError.SqlError, R>): Effect.Effect<A, never, R> =>
  Effect.orDie(Effect.retry(effect, Schedule.spaced("1 second")))

/** The journal of one generation, written in the name of one runner. */
export interface Journal {
  /** Notes that this runner begins a unit; how often it was begun, this time included, and how many runners were lost with it. */
  readonly begin: (unit: number) => Effect.Effect<{ readonly starts: number; readonly lost: number }>
  readonly end: (unit: number, state: "done" | "failed", detail: string) => Effect.Effect<void>
  /** Notes that this runner gives the unit back unfinished. */
  readonly release: (unit: number) => Effect.Effect<void>
  readonly counts: Effect.Effect<Counts, SqlError.SqlError>
  /** Whether some runner began the unit. */
  readonly wasBegun: (unit: number) => Effect.Effect<boolean>
  readonly firstFailed: Effect.Effect<FailedUnit | undefined, SqlError.SqlError>
  readonly close: (state: "done" | "failed") => Effect.Effect<void, SqlError.SqlError>
}

/** Opens the journal. */
export const open = (generation: number, runner: string): Effect.Effect<Journal, never, SqlClient.SqlClient> =>
  Effect.map(SqlClient.SqlClient, (sql) => ({
    begin: (unit) =>
      untilThere(Effect.map(
        sql<{ starts: number; lost: number }>`
          INSERT INTO units AS known (generation, unit, state, runner, starts, lost, started_at)
          VALUES (${generation}, ${unit}, 'running', ${runner}, 1, 0, now())
          ON CONFLICT (generation, unit) DO UPDATE SET
            lost = known.lost + (known.state = 'running' AND known.runner <> EXCLUDED.runner)::int, starts = known.starts + 1,
            state = 'running', runner = EXCLUDED.runner, started_at = now(), ended_at = NULL
          RETURNING starts, lost`,
        (rows) => rows[0]!
      )),
    end: (unit, state, detail) =>
      untilThere(Effect.asVoid(sql`
        UPDATE units SET state = ${state}, ended_at = now(), detail = ${detail}, runner = ${runner}
        WHERE generation = ${generation} AND unit = ${unit}`)),
    release: (unit) =>
      Effect.ignore(sql`
        UPDATE units SET state = 'waiting' WHERE generation = ${generation} AND unit = ${unit} AND runner = ${runner} AND state = 'running'`),
    wasBegun: (unit) => untilThere(Effect.map(sql`SELECT 1 FROM units WHERE generation = ${generation} AND unit = ${unit}`, ({ length }) => length > 0)),
    counts: Effect.map(
      sql<Counts>`
        SELECT count(*) FILTER (WHERE state = 'done')::int AS done, count(*) FILTER (WHERE state = 'failed')::int AS failed,
          count(*) FILTER (WHERE state = 'running')::int AS running, count(DISTINCT runner) FILTER (WHERE state = 'running')::int AS runners
        FROM units WHERE generation = ${generation}`,
      (rows) => rows[0]!
    ),
    firstFailed: Effect.map(
      sql<FailedUnit>`SELECT unit, runner, detail FROM units WHERE generation = ${generation} AND state = 'failed' ORDER BY unit LIMIT 1`,
      (rows) => rows[0]
    ),
    close: (state) => Effect.asVoid(sql`UPDATE job SET state = ${state} WHERE generation = ${generation} AND state = 'open'`)
  }))

/**
 * The jobs that a database holds, for those who look from outside.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { ClusterError, fromSqlError } from "./ClusterError.ts"
import * as Database from "./Database.ts"

/** A unit that a runner has in hand. */
export interface UnitInHand {
  readonly unit: number
  readonly runner: string
  readonly seconds: number
  /** How often it was begun, this time included. */
  readonly starts: number
}

/** A job as its journal shows it. */
export interface JobStatus {
  readonly schema: string
  readonly description: string
  /** How often the job was begun: again after it failed, or after its parts were removed. */
  readonly generation: number
  readonly state: "open" | "done" | "failed"
  readonly started: Date
  readonly total: number
  readonly done: number
  readonly failed: number
  /** Times that a unit's runner was lost. */
  readonly lost: number
  readonly inHand: ReadonlyArray<UnitInHand>
}

const schemaPattern = /^elf_[a-z0-9_]+$/

const schemas = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ name: string }>`SELECT table_schema AS name FROM information_schema.tables WHERE table_name = 'units' ORDER BY 1`,
    (rows) => rows.map(({ name }) => name).filter((name) => schemaPattern.test(name))
  ))

const statusOf = (schema: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [job] = yield* sql<Omit<JobStatus, "schema">>`
      SELECT generation, state, description, units AS total, started_at AS started FROM ${sql(schema)}.job ORDER BY generation DESC LIMIT 1`
    if (job === undefined) return undefined
    const [counts] = yield* sql<{ done: number; failed: number; lost: number }>`
      SELECT count(*) FILTER (WHERE state = 'done')::int AS done, count(*) FILTER (WHERE state = 'failed')::int AS failed,
        coalesce(sum(lost), 0)::int AS lost
      FROM ${sql(schema)}.units WHERE generation = ${job.generation}`
    const inHand = job.state !== "open" ? [] : yield* sql<UnitInHand>`
      SELECT unit, runner, extract(epoch FROM now() - started_at)::float8 AS seconds, starts
      FROM ${sql(schema)}.units WHERE generation = ${job.generation} AND state = 'running' ORDER BY unit`
    return { schema, ...job, ...counts!, inHand } satisfies JobStatus
  })

/** Runs a query on the database of a URL. */
const query = <A, E, R>(url: string, run: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Database.parse(url), (database) =>
    run.pipe(
      Effect.mapError((error) => (error as { readonly _tag?: string })._tag === "SqlError" ? fromSqlError(database.place)(error as never) : error as ClusterError),
      Effect.provide(Database.layer(database, "public"))
    ))

/** All jobs of a database, by schema. */
export const jobs = (url: string) =>
  query(url, Effect.map(Effect.flatMap(schemas, (names) => Effect.forEach(names, statusOf)), (found) => found.filter((status) => status !== undefined)))

const refuse = (schema: string, detail: string, remedy: string) => new ClusterError({ reason: "query", place: schema, detail, remedy })

/** Drops the state of a job that nobody works on: its parts stay. */
export const forget = (url: string, schema: string) =>
  query(url, Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    if (!(yield* schemas).includes(schema)) return yield* refuse(schema, "the database has no such job", "elf jobs lists them.")
    const status = yield* statusOf(schema)
    if ((status?.inHand.length ?? 0) > 0) return yield* refuse(schema, "runners are working on it", "Stop them first.")
    yield* sql`DROP SCHEMA ${sql(schema)} CASCADE`
  }))

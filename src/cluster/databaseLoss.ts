/**
 * A database that is away for a while: how that is told from other failures, and how it is waited for.
 *
 * @since 0.1.0
 */
import { Cause, Clock, Duration, Effect, Schedule } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { type ClusterError, fromSqlError } from "./ClusterError.ts"

/** What is told of the database. */
export type DatabaseEvent =
  | { readonly state: "away"; readonly place: string; readonly detail: string; /** How long it is waited for. */ readonly seconds: number }
  | { readonly state: "back"; readonly place: string; /** How long it was away. */ readonly seconds: number }

/** Classes and codes of PostgreSQL: connection lost, server shutting down, crashed or starting, all connections taken. */
const passingCode = /^(08...|57P0[1-5]|53300)$/

const codeIn = (error: unknown): string =>
  typeof error !== "object" || error === null ? "" : "code" in error && typeof error.code === "string" ? error.code : "cause" in error ? codeIn(error.cause) : ""

/** Whether a failure of the database may pass by itself. */
export const isPassing = (error: SqlError.SqlError): boolean => error.reason._tag === "ConnectionError" || passingCode.test(codeIn(error.reason))

/** Errors wrap causes, and causes errors: not deeper than this. */
const deepest = 12

const sqlErrorIn = (value: unknown, depth = 0): SqlError.SqlError | undefined => {
  if (depth > deepest || typeof value !== "object" || value === null) return undefined
  if (SqlError.isSqlError(value)) return value
  if (Cause.isCause(value)) return value.reasons.map((reason) => sqlErrorIn("error" in reason ? reason.error : "defect" in reason ? reason.defect : undefined, depth + 1)).find((error) => error !== undefined)
  return "cause" in value ? sqlErrorIn(value.cause, depth + 1) : undefined
}

/** The failure of the database that a cause comes from, if it may pass. */
const lossIn = (cause: Cause.Cause<unknown>): SqlError.SqlError | undefined => {
  const error = sqlErrorIn(cause)
  return error !== undefined && isPassing(error) ? error : undefined
}

/** How the database is waited for. */
export interface Waiting<R> {
  /** `host:port/database` */
  readonly place: string
  /** How long it may be away. */
  readonly patience: Duration.Duration
  readonly tell: (event: DatabaseEvent) => Effect.Effect<void, never, R>
}

/** Waits until the database answers again; fails with a {@link ClusterError} when patience ends. */
const untilBack = <R>(loss: SqlError.SqlError, { patience, place, tell }: Waiting<R>): Effect.Effect<void, ClusterError, SqlClient.SqlClient | R> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const since = yield* Clock.currentTimeMillis
    yield* tell({ state: "away", place, detail: fromSqlError(place)(loss).detail, seconds: Duration.toSeconds(patience) })
    yield* sql`SELECT 1`.pipe(
      Effect.retry({ while: isPassing, schedule: Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: patience })) }),
      Effect.mapError(fromSqlError(place))
    )
    yield* tell({ state: "back", place, seconds: ((yield* Clock.currentTimeMillis) - since) / 1000 })
  })

const startingUp = "57P03"

/** Reaches the database for the first time: one that starts up is waited for, one that is not there is a mistake. */
export const reach = <R>({ patience }: Waiting<R>): Effect.Effect<void, SqlError.SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.asVoid(Effect.retry(sql`SELECT 1`, { while: ({ reason }) => codeIn(reason) === startingUp, schedule: Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: patience })) })))

/** Begins `effect` again as often as it ends because the database went away and came back. */
export const throughLosses = <A, E, R, R2>(effect: Effect.Effect<A, E, R>, waiting: Waiting<R2>): Effect.Effect<A, E | ClusterError, R | R2 | SqlClient.SqlClient> =>
  Effect.catchCause(effect, (cause) => {
    const loss = lossIn(cause)
    if (loss === undefined) return Effect.failCause(cause)
    return Effect.andThen(untilBack(loss, waiting), Effect.suspend(() => throughLosses(effect, waiting)))
  })

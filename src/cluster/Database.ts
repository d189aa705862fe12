/**
 * The PostgreSQL database that a cluster shares: its URL, its driver, and a connection pool in the job's own schema.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Redacted } from "effect"
import type { SqlClient } from "effect/sql"
import { ClusterError, fromSqlError } from "./ClusterError.ts"

/** A database by its URL. */
export interface Database {
  readonly url: Redacted.Redacted
  /** `PGPASSWORD`, where the URL has none: command lines are seen by everybody on a machine. */
  readonly password: Redacted.Redacted | undefined
  /** `host:port/database`, for messages. */
  readonly place: string
}

const example = "Write postgres://user@host:5432/database, with the password in PGPASSWORD"

const badUrl = (detail: string) => new ClusterError({ reason: "url", place: "--cluster", detail, remedy: `${example}.` })

/** Takes a `postgres://` or `postgresql://` URL apart; fails with a {@link ClusterError} that never shows a password. */
export const parse = (url: string): Effect.Effect<Database, ClusterError> => {
  const parsed = URL.parse(url)
  if (parsed === null) return Effect.fail(badUrl("this is no URL"))
  if (!/^postgres(ql)?:$/.test(parsed.protocol)) return Effect.fail(badUrl(`"${parsed.protocol}//" is no PostgreSQL URL`))
  const name = parsed.pathname.slice(1)
  if (name === "") return Effect.fail(badUrl("the URL names no database"))
  const password = parsed.password === "" ? process.env["PGPASSWORD"] : undefined
  return Effect.succeed({ password: password === undefined ? undefined : Redacted.make(password), url: Redacted.make(url), place: `${parsed.hostname || "localhost"}:${parsed.port || 5432}/${name}` })
}

/** The release of the driver that this package is tested with. */
const driverVersion = "4.0.5"

const loadDriver = Effect.tryPromise({
  try: () => import("@effect/sql-pg/PgClient"),
  catch: () =>
    new ClusterError({
      reason: "driver",
      place: "@effect/sql-pg",
      detail: "the PostgreSQL driver is not installed: only --cluster needs it",
      remedy: `Run npm install @effect/sql-pg@${driverVersion}.`
    })
})

/** Connections of this process: one holds the shard locks, the rest are for queries. */
const maxConnections = 6

/**
 * A pool of connections whose tables are those of `schema`, which need not exist yet.
 *
 * The first query fails, not the layer, when the database cannot be reached.
 */
export const layer = ({ password, place, url }: Database, schema: string): Layer.Layer<SqlClient.SqlClient, ClusterError> =>
  Layer.unwrap(Effect.map(loadDriver, (driver) =>
    driver.layer({
      url,
      password,
      maxConnections,
      connectTimeout: "5 seconds",
      applicationName: `elf-streams ${schema}`,
      startupParameters: { search_path: schema }
    }).pipe(Layer.catchTag("SqlError", (error) => Layer.effectDiscard(Effect.fail(fromSqlError(place)(error)))))
  )) as Layer.Layer<SqlClient.SqlClient, ClusterError>

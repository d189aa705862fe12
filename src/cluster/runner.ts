/**
 * A process as a runner of the cluster: its place among the runners, its share of the workflows, its end of the queue.
 *
 * @since 0.1.0
 */
import { NodeCrypto } from "@effect/platform-node"
import { Duration, Effect, Layer, Option } from "effect"
import { ClusterWorkflowEngine, RunnerAddress, RunnerHealth, Runners, Sharding, ShardingConfig, SqlMessageStorage, SqlRunnerStorage } from "effect/cluster"
import { PersistedQueue } from "effect/persistence"
import { SqlClient, type SqlError } from "effect/sql"
import { randomInt } from "node:crypto"
import { hostname } from "node:os"
import { createTables } from "./Journal.ts"

/** How quickly a runner is taken for lost. */
export interface Timing {
  /** A runner that has not been heard of for this long is lost. It says that it lives five times as often. */
  readonly lostAfter: Duration.Duration
}

/** Shards carry workflows that only wait; a few are enough to spread them. */
const shards = 60

const pollInterval = Duration.millis(500)

/** A name that no other runner has. It is no address: nobody connects to a runner. */
export const newAddress = (): RunnerAddress.RunnerAddress => RunnerAddress.make(hostname(), randomInt(1, 2 ** 31))

const livesEvery = ({ lostAfter }: Timing): Duration.Duration => Duration.divideUnsafe(lostAfter, 5)

const configOf = (address: RunnerAddress.RunnerAddress, timing: Timing) =>
  ShardingConfig.layer({
    runnerAddress: Option.some(address),
    shardsPerGroup: shards,
    shardLockExpiration: timing.lostAfter,
    shardLockRefreshInterval: livesEvery(timing),
    refreshAssignmentsInterval: "1 second",
    entityMessagePollInterval: pollInterval,
    entityTerminationTimeout: "1 second"
  })

const queueTable = (prefix: string): string => `${prefix}_queue`

const queueStore = (prefix: string, timing: Timing) =>
  PersistedQueue.layerStoreSql({
    tableName: queueTable(prefix),
    pollInterval,
    lockExpiration: timing.lostAfter,
    lockRefreshInterval: livesEvery(timing)
  })

/**
 * How many units of a generation were begun and are in nobody's hand: their runner is lost, or has given them back.
 */
export const countOrphans = (schema: string, generation: number, { lostAfter }: Timing): Effect.Effect<number, SqlError.SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql<{ orphans: number }>`
        SELECT count(*)::int AS orphans FROM units JOIN ${sql(queueTable(schema))} AS queue ON queue.id = units.generation || '/' || units.unit
        WHERE units.generation = ${generation} AND units.state IN ('running', 'waiting') AND queue.state = 'pending'
          AND (acquired_at IS NULL OR acquired_at < now() - make_interval(secs => ${Math.ceil(Duration.toSeconds(lostAfter))}))`,
      (rows) => rows[0]!.orphans
    ))

/**
 * Runs `body` while no other process sets the job up, in a schema that exists, with all tables there.
 *
 * Several processes start at the same moment; `CREATE … IF NOT EXISTS` alone fails when two do it at once.
 */
export const withSetUp = <A, E, R>(schema: string, timing: Timing, body: Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const connection = yield* sql.reserve
    yield* Effect.acquireRelease(
      connection.executeRaw("SELECT pg_advisory_lock(hashtextextended($1, 0))", [schema]),
      () => Effect.ignore(connection.executeRaw("SELECT pg_advisory_unlock(hashtextextended($1, 0))", [schema]))
    )
    yield* sql`CREATE SCHEMA IF NOT EXISTS ${sql(schema)}`
    yield* Layer.build(Layer.mergeAll(SqlRunnerStorage.layerMigrations({ prefix: schema }), SqlMessageStorage.layerMigrations({ prefix: schema }), queueStore(schema, timing)))
    yield* createTables
    return yield* body
  }))

/**
 * The workflow engine and the queue of this runner. When its scope closes the runner leaves and hands its shards over.
 *
 * Runners are alive while they say so in the database, and messages are stored there and polled. No runner connects to
 * another: a frozen one would hold up whoever waits for its answer, and machines need to reach nothing but the database.
 */
export const layer = (address: RunnerAddress.RunnerAddress, schema: string, timing: Timing) => {
  const sharding = Sharding.layer.pipe(
    Layer.provide(Runners.layerNoop),
    Layer.provideMerge(SqlMessageStorage.layerStorage({ prefix: schema }).pipe(Layer.provide(NodeCrypto.layerDigest))),
    Layer.provide([SqlRunnerStorage.layerStorage({ prefix: schema }), RunnerHealth.layerNoop]),
    Layer.provide(configOf(address, timing))
  )
  return Layer.mergeAll(
    ClusterWorkflowEngine.layer.pipe(Layer.provide(sharding)),
    PersistedQueue.layer.pipe(Layer.provide(queueStore(schema, timing)))
  )
}

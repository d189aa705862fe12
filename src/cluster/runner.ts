/**
 * A process as a runner of the cluster: its place among the runners, its share of the workflows, its end of the queue.
 *
 * @since 0.2.0
 */
import { NodeClusterSocket, NodeCrypto } from "@effect/platform-node"
import { Duration, Effect, Layer, Option } from "effect"
import { ClusterWorkflowEngine, RunnerAddress, RunnerHealth, ShardingConfig, SocketRunner, SqlMessageStorage, SqlRunnerStorage } from "effect/cluster"
import { PersistedQueue } from "effect/persistence"
import { RpcSerialization } from "effect/rpc"
import { SqlClient } from "effect/sql"
import { type Address, listenHost } from "./address.ts"
import { createTables } from "./Journal.ts"

/** How quickly a runner is taken for lost. */
export interface Timing {
  /** A runner that has not been heard of for this long is lost. It says that it lives five times as often. */
  readonly lostAfter: Duration.Duration
}

/** Shards carry workflows that only wait; a few are enough to spread them. */
const shards = 60

const pollInterval = Duration.millis(500)

const addressOf = ({ host, port }: Address) => RunnerAddress.make(host, port)

const configOf = (address: Address, { lostAfter }: Timing) =>
  ShardingConfig.layer({
    runnerAddress: Option.some(addressOf(address)),
    runnerListenAddress: Option.some(addressOf({ host: listenHost(address.host), port: address.port })),
    shardsPerGroup: shards,
    shardLockExpiration: lostAfter,
    shardLockRefreshInterval: Duration.divideUnsafe(lostAfter, 5),
    refreshAssignmentsInterval: "1 second",
    entityMessagePollInterval: "1 second",
    entityTerminationTimeout: "1 second"
  })

const queueStore = (prefix: string, { lostAfter }: Timing) =>
  PersistedQueue.layerStoreSql({
    tableName: `${prefix}_queue`,
    pollInterval,
    lockExpiration: lostAfter,
    lockRefreshInterval: Duration.divideUnsafe(lostAfter, 5)
  })

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
 * Runners are alive while they say so in the database. That one cannot open a connection to another only makes messages
 * slower: they are stored first, and polled.
 */
export const layer = (address: Address, schema: string, timing: Timing) => {
  const sharding = SocketRunner.layer.pipe(
    Layer.provide([NodeClusterSocket.layerSocketServer, NodeClusterSocket.layerClientProtocol, RunnerHealth.layerNoop]),
    Layer.provideMerge(SqlMessageStorage.layerStorage({ prefix: schema }).pipe(Layer.provide(NodeCrypto.layerDigest))),
    Layer.provide(SqlRunnerStorage.layerStorage({ prefix: schema })),
    Layer.provide(configOf(address, timing)),
    Layer.provide(RpcSerialization.layerSchemaBinary())
  )
  return Layer.mergeAll(
    ClusterWorkflowEngine.layer.pipe(Layer.provide(sharding)),
    PersistedQueue.layer.pipe(Layer.provide(queueStore(schema, timing)))
  )
}

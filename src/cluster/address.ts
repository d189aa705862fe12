/**
 * Where the other runners of a cluster reach this one.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import { once } from "node:events"
import { connect, createServer, type Server } from "node:net"
import { networkInterfaces } from "node:os"
import { ClusterError } from "./ClusterError.ts"
import type { Database } from "./Database.ts"

/** A host and a port. */
export interface Address {
  readonly host: string
  readonly port: number
}

const noAddress = (place: string, detail: string) =>
  new ClusterError({ reason: "address", place, detail, remedy: "Give an address of this machine with --runner-host, a free port with --runner-port." })

const seconds5 = 5000

/** The address of this machine on the way to the database: the one that machines on the same network see. */
const localHost = ({ host, place, port }: Database): Effect.Effect<string, ClusterError> =>
  Effect.tryPromise({
    try: async (signal) => {
      const socket = connect({ host, port, timeout: seconds5, signal })
      socket.on("timeout", () => socket.destroy(new Error("no answer within 5 s")))
      try {
        await once(socket, "connect")
        return socket.localAddress!
      } finally {
        socket.destroy()
      }
    },
    catch: (error) =>
      new ClusterError({
        reason: "connection",
        place,
        detail: `no connection (${(error as Error).message || (error as NodeJS.ErrnoException).code})`,
        remedy: "Check that PostgreSQL runs there and that this machine may reach it."
      })
  })

const portOf = (server: Server): number => (server.address() as { readonly port: number }).port

/** A port that is free now. */
const freePort = (host: string): Effect.Effect<number, ClusterError> =>
  Effect.tryPromise({
    try: async () => {
      const server = createServer().listen(0, host)
      await once(server, "listening")
      const port = portOf(server)
      server.close()
      return port
    },
    catch: (error) => noAddress(host, `this machine cannot listen there (${(error as NodeJS.ErrnoException).code})`)
  })

const ownHosts = (): ReadonlyArray<string> => Object.values(networkInterfaces()).flatMap((each) => each ?? []).map(({ address }) => address)

/** Where to listen for `host`: there, or, if another machine forwards to this one, everywhere. */
export const listenHost = (host: string): string => ownHosts().includes(host) || host === "localhost" ? host : "0.0.0.0"

/** The address that was asked for; what was left out is found. */
export const resolve = (database: Database, asked: Partial<Address>): Effect.Effect<Address, ClusterError> =>
  Effect.gen(function*() {
    const host = asked.host ?? (yield* localHost(database))
    return { host, port: asked.port ?? (yield* freePort(listenHost(host))) }
  })

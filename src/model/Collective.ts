/**
 * The processes that train one network together, as a service: what each holds a part of is added up here.
 *
 * Notable: nothing here is needed to train alone. The service is a reference whose default is a group of one, in which a sum
 * is what went in.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { EngineError, load, openCollectives, reasonOf } from "../engine/index.mjs"
import { Backend } from "./Backend.ts"
import { CollectiveUnavailableError, type PeerLostError, type RanksDifferError } from "./collective/errors.ts"
import { awaitPeers, type Group, type Patience, sumsOf } from "./collective/group.ts"

export { CollectiveUnavailableError, PeerLostError, RanksDifferError } from "./collective/errors.ts"
export type { Patience } from "./collective/group.ts"

/** What the members of a group can fail each other with. */
export type CollectiveError = PeerLostError | RanksDifferError

/** A group of processes as one of them sees it. Each calls the same functions in the same order. */
export interface CollectiveFields {
  /** Number of this process, from 0. */
  readonly rank: number
  /** How many there are, ≥ 1. */
  readonly size: number
  /**
   * Puts the sum over all processes in the array's place, the same bits in all of them. The array must not be touched
   * meanwhile; an interruption ends the group.
   */
  readonly sum: (array: Float32Array | Int32Array) => Effect.Effect<void, PeerLostError>
}

/** Where the processes are, and which of them this is. */
export interface GroupOptions {
  /** `host:port` of each, the same list for all. */
  readonly addresses: ReadonlyArray<string>
  readonly rank: number
  /** How long a process waits for another; default 120 s at the start, 6 s for a sign of life. */
  readonly patience?: Partial<Patience>
}

const patient: Patience = { start: 120, answer: 6, farewell: 2 }

const unavailable = (why: string, remedy: string): CollectiveUnavailableError => new CollectiveUnavailableError({ why, remedy })

/** Starts this process's server. TensorFlow cannot stop it again: it ends with the process. */
const open = ({ addresses, rank }: GroupOptions): Effect.Effect<Group["native"], CollectiveUnavailableError, Backend> =>
  Effect.flatMap(Backend, ({ engine }) =>
    engine === "tensorflow"
      ? Effect.try({
        try: () => openCollectives(load().installed.binding, addresses, rank),
        catch: (error) => unavailable(reasonOf(error), error instanceof EngineError ? error.remedy : "Train on one process")
      })
      : Effect.fail(unavailable(`the ${engine} engine runs one process alone`, "Install libtensorflow with `elf engine install`")))

const join = Effect.fnUntraced(function*(options: GroupOptions): Effect.fn.Return<CollectiveFields, CollectiveUnavailableError | PeerLostError, Backend | Scope.Scope> {
  const { addresses, rank } = options
  const group: Group = { native: yield* open(options), addresses, rank, patience: { ...patient, ...options.patience } }
  if (group.native.exposed) yield* Effect.logWarning(`Rank ${rank} takes commands at ${addresses[rank]} from whoever reaches it: keep that port inside a network you trust.`)
  yield* awaitPeers(group)
  return { rank, size: addresses.length, sum: yield* sumsOf(group) }
})

/** The group that this process trains in; by default a group of one. */
export class Collective extends Context.Reference<CollectiveFields>("elf-streams/model/Collective", {
  defaultValue: () => ({ rank: 0, size: 1, sum: () => Effect.void })
}) {
  /**
   * This process as one of several, once all of them answer. A process can join one group in its life.
   *
   * **Gotchas** Whoever reaches the port of a process can run operations in it. Where all addresses are on loopback the
   * port is closed to other machines; elsewhere, keep it inside a network you trust.
   */
  static readonly layer = (options: GroupOptions): Layer.Layer<never, CollectiveUnavailableError | PeerLostError, Backend> =>
    Layer.effect(Collective, join(options))
}

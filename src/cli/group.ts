/**
 * Training on several processes, from the command line: which there are, and what runs in each.
 */
import { Effect, Layer, Option } from "effect"
import { Flag } from "effect/cli"
import { availableParallelism } from "node:os"
import { Backend, type EngineUnavailableError } from "../model/Backend.ts"
import { Collective, CollectiveUnavailableError, PeerLostError } from "../model/Collective.ts"
import type { OptionError, WorkerError } from "./errors.ts"
import { requireOption } from "./options.ts"
import { report } from "./progress.ts"
import { endingWithParent, freeAddresses, startWorkers, type Workers } from "./workers.ts"

/** The options that name the processes of a run. */
export const groupFlags = {
  workers: Flag.Int("workers").pipe(Flag.withDescription("Train in so many processes on this machine, which share its processors"), Flag.withDefault(1)),
  cluster: Flag.String("cluster").pipe(Flag.withDescription("Train with processes on several machines: host:port of each, separated by commas, the same list for all"), Flag.optional),
  rank: Flag.Int("rank").pipe(Flag.withDescription("Which of the processes in --cluster this one is, from 0; rank 0 writes checkpoints and logs"), Flag.optional)
}

/** The processes of a run. */
export interface GroupChoice {
  readonly workers: number
  readonly cluster: Option.Option<string>
  readonly rank: Option.Option<number>
}

const isAddress = (address: string): boolean => /^(\[[\da-f:]+\]|[\w.-]+):\d{1,5}$/i.test(address)

const addressesOf = ({ cluster }: GroupChoice): ReadonlyArray<string> => Option.match(cluster, { onNone: () => [], onSome: (text) => text.split(",").map((address) => address.trim()) })

/** Fails unless the options name a group whose processes all get rows of a batch. */
export const checkGroup = (choice: GroupChoice, batchSize: number): Effect.Effect<void, OptionError> =>
  Effect.gen(function*() {
    const { cluster, rank, workers } = choice
    const addresses = addressesOf(choice)
    const most = `at least 1 and at most ${batchSize}, the rows of a batch (data.batchSize)`
    yield* requireOption(workers >= 1 && workers <= batchSize, "workers", most, workers)
    yield* requireOption(Option.isNone(cluster) || workers === 1, "workers", "left out where --cluster is given", workers)
    yield* requireOption(addresses.every(isAddress) && new Set(addresses).size === addresses.length, "cluster", "different addresses of the form host:port, separated by commas", addresses.join(","))
    yield* requireOption(addresses.length <= batchSize, "cluster", `${most} addresses`, addresses.length)
    yield* requireOption(Option.isSome(rank) === Option.isSome(cluster), "rank", "given with --cluster, and only then", Option.getOrElse(rank, () => "absent"))
    yield* requireOption(Option.isNone(rank) || (rank.value >= 0 && rank.value < addresses.length), "rank", `from 0 to ${addresses.length - 1}`, Option.getOrUndefined(rank))
  })

/** Threads of this process, unless told; and no log of TensorFlow's about a group that broke, which an error of ours reports. */
const configure = (processes: number): void => {
  process.env["ELF_STREAMS_THREADS"] ||= process.env["TF_NUM_INTRAOP_THREADS"] || String(Math.max(1, Math.floor(availableParallelism() / processes)))
  process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "3"
}

/** Joins the workers' group, unless one of them fails before; when `program` is done, waits for them to be done as well. */
const withWorkers = <A, E, R>(program: Effect.Effect<A, E, R>, addresses: ReadonlyArray<string>, { ended, explain, failure }: Workers) =>
  Effect.flatMap(Effect.raceFirst(Layer.build(Collective.layer({ addresses, rank: 0 })), failure), (group) =>
    program.pipe(
      Effect.provideContext(group),
      Effect.mapError((error) => error instanceof PeerLostError ? explain(error) : error),
      Effect.tap(ended)
    ))

const requireEngine = Effect.flatMap(Backend, ({ engine }) =>
  engine === "tensorflow" ? Effect.void : Effect.fail(new CollectiveUnavailableError({ why: `the ${engine} engine runs one process alone`, remedy: "Install libtensorflow with `elf engine install`" })))

const startGroup = Effect.fnUntraced(function*(count: number) {
  yield* requireEngine
  const addresses = yield* freeAddresses(count)
  const workers = yield* startWorkers(addresses)
  yield* report(`training in ${count} processes`)
  return { addresses, workers }
})

type InGroup<A, E, R> = Effect.Effect<A, E | EngineUnavailableError | CollectiveUnavailableError | PeerLostError | WorkerError, Exclude<R, Backend>>

const onThisMachine = <A, E, R>(program: Effect.Effect<A, E, R>, count: number): InGroup<A, E, R> =>
  Effect.suspend(() => {
    configure(count)
    const started = Effect.flatMap(startGroup(count), ({ addresses, workers }) => withWorkers(program, addresses, workers))
    return Effect.provide(Effect.scoped(started), Backend.layer)
  }) as InGroup<A, E, R>

const amongMachines = <A, E, R>(program: Effect.Effect<A, E, R>, addresses: ReadonlyArray<string>, rank: number): InGroup<A, E, R> =>
  Effect.suspend(() => {
    process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "3"
    return endingWithParent(Effect.provide(program, Layer.provideMerge(Collective.layer({ addresses, rank }), Backend.layer)))
  })

/** Runs `program` with its engine, in each process of the group that the options name. */
export const inGroup = <A, E, R>(program: Effect.Effect<A, E, R>, choice: GroupChoice): InGroup<A, E, R> => {
  const addresses = addressesOf(choice)
  if (addresses.length > 1) return amongMachines(program, addresses, Option.getOrElse(choice.rank, () => 0))
  return choice.workers > 1 ? onThisMachine(program, choice.workers) : Effect.provide(program, Backend.layer)
}

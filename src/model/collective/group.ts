/**
 * One process among several: sums with all of them, and watching that they are there.
 *
 * Notable: TensorFlow waits for ever for a process that hangs, and cannot tell which of a broken group was the cause. So every
 * process asks the others for a sign of life while it waits, and whoever ends the group says why in words that travel to all.
 */
import { Effect, Schedule, type Scope } from "effect"
import type { openCollectives } from "../../engine/index.mjs"
import { PeerLostError } from "./errors.ts"

/** How long a process waits for the others, in seconds. */
export interface Patience {
  /** For all to be there. */
  readonly start: number
  /** For a sign of life, while it waits for them. A process that computes gives it too. */
  readonly answer: number
  /** After one was lost, so that the others can see that it is not this one. */
  readonly farewell: number
}

/** A process and its way to the others. */
export interface Group {
  readonly native: ReturnType<typeof openCollectives>
  readonly addresses: ReadonlyArray<string>
  readonly rank: number
  readonly patience: Patience
}

const othersOf = ({ addresses, rank }: Group): ReadonlyArray<number> => Array.from(addresses.keys()).filter((other) => other !== rank)

const lost = ({ addresses }: Group, rank: number, detail: string): PeerLostError => new PeerLostError({ rank, address: addresses[rank] ?? "", detail })

/** The words that travel to the others with TensorFlow's own error. */
const farewell = ({ detail, rank }: PeerLostError): string => `elf-streams: rank ${rank} ${detail}.`

const heard = /elf-streams: rank (\d+) ([^.]+)\./

/** Fails if another process gives no sign of life. */
const check = (group: Group, other: number, seconds: number): Effect.Effect<void, PeerLostError> =>
  Effect.tryPromise({ try: () => group.native.checkPeer(other, seconds * 1000), catch: () => lost(group, other, "does not answer") })

const checkAll = (group: Group, seconds: number): Effect.Effect<void, PeerLostError> =>
  Effect.forEach(othersOf(group), (other) => check(group, other, seconds), { concurrency: 2, discard: true })

/** Waits until all other processes answer. */
export const awaitPeers = (group: Group): Effect.Effect<void, PeerLostError> => {
  const { start } = group.patience
  const until = (other: number): Effect.Effect<void, PeerLostError> =>
    Effect.retry(check(group, other, 1), { schedule: Schedule.spaced("200 millis") }).pipe(
      Effect.timeoutOrElse({ duration: `${start} seconds`, orElse: () => Effect.fail(lost(group, other, `did not start within ${start} seconds`)) })
    )
  return Effect.forEach(othersOf(group), until, { discard: true })
}

/** Ends the group as soon as a process gives no sign of life; what waits in a sum then fails. */
const watch = (group: Group): Effect.Effect<never> =>
  Effect.andThen(Effect.sleep("1 second"), checkAll(group, group.patience.answer)).pipe(
    Effect.catch((error) => Effect.sync(() => group.native.abort(farewell(error)))),
    Effect.forever
  )

/** One sum; an interruption ends the group, and waits until TensorFlow has let go of the array. */
const exchange = (group: Group, array: Float32Array | Int32Array): Effect.Effect<void, unknown> =>
  Effect.callback<void, unknown>((resume) => {
    const work = group.native.sum(array)
    work.then(() => resume(Effect.void), (error) => resume(Effect.fail(error)))
    return Effect.promise(() => {
      group.native.abort(farewell(lost(group, group.rank, "was stopped")))
      return work.catch(() => {})
    })
  })

/** Which process was the cause: the one that another named, else one that does not answer, else the one that TensorFlow names. */
const diagnose = (group: Group, error: unknown): Effect.Effect<PeerLostError> => {
  const text = error instanceof Error ? error.message : String(error)
  const [, rank, detail] = heard.exec(text) ?? []
  if (detail !== undefined) return Effect.succeed(lost(group, Number(rank), detail))
  const named = Number(/task:(\d+)/.exec(text)?.[1] ?? othersOf(group)[0])
  const asTold = lost(group, named, `broke off (${text.split("\n")[0]})`)
  return Effect.match(checkAll(group, 2), { onFailure: (silent) => silent, onSuccess: () => asTold })
}

/** Sums of this process with the group, for as long as the scope lives. */
export const sumsOf = (group: Group): Effect.Effect<(array: Float32Array | Int32Array) => Effect.Effect<void, PeerLostError>, never, Scope.Scope> => {
  let broken = false
  const fail = Effect.fnUntraced(function*(thrown: unknown) {
    const error = yield* diagnose(group, thrown)
    broken = true
    group.native.abort(farewell(error))
    return yield* error
  })
  const sum = (array: Float32Array | Int32Array) =>
    Effect.raceFirst(Effect.catch(exchange(group, array), fail), watch(group))
  return Effect.as(
    Effect.addFinalizer(() => broken ? Effect.sleep(`${group.patience.farewell} seconds`) : Effect.void),
    sum
  )
}

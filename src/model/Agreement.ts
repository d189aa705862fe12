/**
 * How the processes of a group come to have the same: rank 0 tells the others, and all compare what they have. Each function
 * is called by all processes, or by none.
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { Collective, type PeerLostError, RanksDifferError } from "./Collective.ts"

/** Puts rank 0's numbers in the place of everybody's, bit for bit. `array` has the same length everywhere. */
export const broadcast = (array: Float32Array | Int32Array): Effect.Effect<void, PeerLostError> =>
  Effect.flatMap(Collective, ({ rank, size, sum }) => {
    if (size === 1) return Effect.void
    if (rank !== 0) array.fill(0)
    // As whole numbers, since a sum of floats would lose the sign of −0.
    return sum(new Int32Array(array.buffer, array.byteOffset, array.length))
  })

/** Rank 0's value, in all processes; the others' does not matter. It must survive JSON. */
export const broadcastJson = Effect.fnUntraced(function*<A>(value: A) {
  const bytes = new TextEncoder().encode(JSON.stringify(value) ?? "null")
  const length = Int32Array.of(bytes.length)
  yield* broadcast(length)
  const padded = new Uint8Array(4 * Math.ceil(length[0]! / 4))
  padded.set(bytes.subarray(0, padded.length))
  yield* broadcast(new Int32Array(padded.buffer))
  return JSON.parse(new TextDecoder().decode(padded.subarray(0, length[0]))) as A
})

/** Whether `holds` in any of the processes. */
export const anywhere = (holds: boolean): Effect.Effect<boolean, PeerLostError> =>
  Effect.flatMap(Collective, ({ sum }) => {
    const count = Int32Array.of(holds ? 1 : 0)
    return Effect.map(sum(count), () => count[0]! > 0)
  })

/** Fails in all processes if one says that it `differs` from rank 0. `subject` says in what, `remedy` what to do. */
export const refuseDifference = Effect.fnUntraced(function*(differs: boolean, subject: string, remedy: string) {
  const { rank, size, sum } = yield* Collective
  const flags = new Int32Array(size)
  flags[rank] = differs ? 1 : 0
  yield* sum(flags)
  const ranks = Array.from(flags.keys()).filter((each) => flags[each] !== 0)
  if (ranks.length > 0) return yield* new RanksDifferError({ subject, ranks, remedy })
})

/** sha256 over `parts`, as the words that {@link requireAlike} compares. */
export const digestOf = (parts: Iterable<Uint8Array>): Int32Array => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return new Int32Array(Uint8Array.from(hash.digest()).buffer)
}

/** Fails in all processes unless all give the same digest. `subject` says of what, `remedy` what to do where they do not. */
export const requireAlike = Effect.fnUntraced(function*(digest: Int32Array, subject: string, remedy: string) {
  const told = digest.slice()
  yield* broadcast(told)
  yield* refuseDifference(told.join() !== digest.join(), subject, remedy)
})

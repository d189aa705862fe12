/**
 * Garbage of a long stream of small rows, collected before it piles up.
 *
 * **Details** What lives as long as a window of rows is old to V8 when it dies, and V8 looks at old garbage only after tens of
 * megabytes of it. What hangs on it outside of V8's heap, array buffers and the tokenizer's results, then lies between the
 * tensors' memory. So memory would creep up for a hundred thousand rows before it levels off.
 */
import { Effect } from "effect"
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { Tell } from "../run/inference/events.ts"

/** Bytes of garbage that are let be: some ten thousand short rows, more where much is alive and looking for garbage takes longer. */
const allowance = (live: number): number => Math.max(4 << 20, live / 10)

/** A full collection; Node has no other way to ask for one. */
const collector = (): (() => void) => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as () => void
}

/** Bytes in the spaces that small collections do not look at, and in array buffers. */
const oldBytes = (): number =>
  getHeapSpaceStatistics().reduce(
    (sum, { space_name: name, space_used_size: used }) => name.startsWith("new_") ? sum : sum + used,
    process.memoryUsage().arrayBuffers
  )

const makeCollecting = Effect.sync(() => {
  // The space of young objects stays as large as it is: it would grow when the rows have already come far.
  setFlagsFromString("--semi-space-growth-factor=1")
  const collect = collector()
  let live = oldBytes()
  return Effect.sync(() => {
    if (oldBytes() - live < allowance(live)) return
    collect()
    live = oldBytes()
  })
})

/** Tells as `tell` does, and collects garbage as rows go by if there may be more than a little. */
export const withCollecting = (tell: Tell): Effect.Effect<Tell> =>
  Effect.map(makeCollecting, (collecting): Tell => (event) => event.type === "rows" ? Effect.andThen(tell(event), collecting) : tell(event))

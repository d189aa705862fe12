/**
 * One run in several processes: that all train the same thing, from the same state. In a process alone nothing here does
 * anything.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { broadcast, broadcastJson, digestOf, refuseDifference, requireAlike } from "../model/Agreement.ts"
import { Backend } from "../model/Backend.ts"
import { Collective } from "../model/Collective.ts"
import type { HostTensor } from "../model/Parameters.ts"
import { restore, snapshot, type TrainSnapshot, TrainState, type TrainStateFields } from "../model/TrainState.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import { version } from "../version.ts"
import type { Fingerprints } from "./fingerprints.ts"
import type { PlannedRun } from "./plan.ts"
import { configurationChanges, fingerprintChanges } from "./runChanges.ts"

/** Where a run stands: batches that were trained on, and where the data goes on. */
interface Position {
  readonly step: number
  readonly position: PackPosition | undefined
}

/** Fails in all processes unless all have rank 0's run, data, vocabulary, encoder and version of this package. */
export const requireSameRun = Effect.fnUntraced(function*(run: PlannedRun, fingerprints: Fingerprints) {
  const own = { version, run, fingerprints }
  const told = yield* broadcastJson(own)
  const different = [
    ...configurationChanges(told.run, run, "on rank 0 it is"),
    ...fingerprintChanges(told.fingerprints, fingerprints),
    ...(told.run.optimizer.steps === run.optimizer.steps ? [] : [`optimizer.steps is ${run.optimizer.steps}, on rank 0 it is ${told.run.optimizer.steps}`]),
    ...(told.version === version ? [] : [`elf-streams is ${version}, on rank 0 it is ${told.version}`])
  ]
  const subject = different.length === 0 ? "its run file, its data or its version" : `this: ${different.join("; ")}`
  yield* refuseDifference(different.length > 0, subject, "Give all ranks the same run file, data, encoder and version")
})

const sections = ["model", "average", "moments", "accumulated"] as const

const ordered = (tensors: ReadonlyArray<HostTensor>): ReadonlyArray<HostTensor> => tensors.toSorted((a, b) => (a.name < b.name ? -1 : 1))

/** Rank 0's values of tensors that all processes have, in one vector. */
const shareTensors = Effect.fnUntraced(function*(tensors: ReadonlyArray<HostTensor>) {
  const vector = new Float32Array(tensors.reduce((sum, { data }) => sum + data.length, 0))
  const inOrder = ordered(tensors)
  let at = 0
  for (const { data } of inOrder) {
    vector.set(data, at)
    at += data.length
  }
  yield* broadcast(vector)
  at = 0
  return inOrder.map(({ data: { length }, ...tensor }): HostTensor => ({ ...tensor, data: vector.slice(at, at += length) }))
})

/** Zeros in the place of sums that only rank 0 has so far. */
const zerosLike = (tensors: ReadonlyArray<HostTensor>): ReadonlyArray<HostTensor> =>
  tensors.map((tensor) => ({ ...tensor, data: new Float32Array(tensor.data.length) }))

/** Puts all processes where rank 0 is: its training state, and its place in the data. */
export const shareState = Effect.fnUntraced(function*(at: Position) {
  const { rank, size } = yield* Collective
  if (size === 1) return at
  const backend = yield* Backend
  const state = yield* TrainState
  const own = yield* backend.kernel("snapshot", () => snapshot(state))
  const told = yield* broadcastJson({ step: at.step, position: at.position ?? null, taken: own.step, updates: own.updates, accumulates: own.accumulated.length > 0 })
  const start: TrainSnapshot = { ...own, accumulated: told.accumulates ? (rank === 0 ? own.accumulated : zerosLike(own.model)) : [] }
  const shared: Record<string, ReadonlyArray<HostTensor>> = {}
  for (const section of sections) shared[section] = yield* shareTensors(start[section])
  if (rank !== 0) yield* backend.kernel("restore", () => restore(state, { ...shared, step: told.taken, updates: told.updates } as unknown as TrainSnapshot))
  return { step: told.step, position: told.position ?? undefined } as Position
})

function* bytesOf(state: TrainStateFields): Generator<Uint8Array> {
  yield new TextEncoder().encode(`${state.step} ${state.optimizer.updates}`)
  for (const tensors of [state.elf.parameters, state.average, state.optimizer.moments, state.accumulated]) {
    for (const name of Object.keys(tensors).toSorted()) {
      const { buffer, byteLength, byteOffset } = tensors[name]!.dataSync() as Float32Array
      yield new TextEncoder().encode(name)
      yield new Uint8Array(buffer, byteOffset, byteLength)
    }
  }
}

/** Fails in all processes unless weights, average, moments and counts are the same bits in all of them. */
export const requireSameState = Effect.gen(function*() {
  if ((yield* Collective).size === 1) return
  const state = yield* TrainState
  const digest = yield* (yield* Backend).kernel("digest", () => digestOf(bytesOf(state)))
  yield* requireAlike(digest, `the training state at step ${state.step}`, "Go on from the last checkpoint, on processors of one kind with as many threads for each rank")
})

/** Short training runs of the tiny network, and how to compare where they end. */
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { snapshot, TrainState } from "../../src/model/TrainState.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import type { LatentBatch } from "../../src/streams/index.ts"
import { selfCondition } from "../../src/streams/selfCondition.ts"
import { type StepMetrics, train, type TrainOptions } from "../../src/streams/train.ts"
import { tinyBatch, tinyCorruption, tinyState, tinyTraining } from "./tinyModel.ts"

/** `count` batches in their order. */
export const batches = (count: number, size = 2): Stream.Stream<LatentBatch> =>
  Stream.map(Stream.range(0, count - 1), (i) => tinyBatch(i * size, size))

/** The three stages that train. */
export const training = (options: Partial<TrainOptions> = {}) => <E, R>(upstream: Stream.Stream<LatentBatch, E, R>) =>
  upstream.pipe(corrupt(tinyCorruption), selfCondition, train({ ...tinyTraining, ...options }))

/** The training state, on the host. */
export const takeSnapshot = Effect.gen(function*() {
  const state = yield* TrainState
  return yield* (yield* Backend).kernel("snapshot", () => snapshot(state))
})

type Snapshot = Effect.Success<typeof takeSnapshot>

/** What differs between two states: counts and tensors, bit for bit. */
export const differences = (a: Snapshot, b: Snapshot): ReadonlyArray<string> => {
  const counts = (["step", "updates"] as const).filter((count) => a[count] !== b[count])
  const tensors = (["model", "average", "moments", "accumulated"] as const).flatMap((part) => {
    if (a[part].length !== b[part].length) return [part]
    return a[part].filter(({ data, name }, i) => name !== b[part][i]!.name || !data.every((x, j) => Object.is(x, b[part][i]!.data[j])))
      .map(({ name }) => `${part}/${name}`)
  })
  return [...counts, ...tensors]
}

/** A run on a fresh state: its metrics and where it ends. */
export const runOf = <E, R>(stream: Stream.Stream<StepMetrics, E, R>) =>
  Effect.gen(function*() {
    const metrics = yield* Stream.runCollect(stream)
    return { metrics, end: yield* takeSnapshot }
  }).pipe(Effect.provide(tinyState()))

/** Batches ready for their step. */
export const prepared = (count: number, size = 2) => batches(count, size).pipe(corrupt(tinyCorruption), selfCondition, Stream.runCollect)

interface Failure {
  readonly _tag: string
  readonly message: string
}

/** Checks that `stream` fails with `tag` and that the training state is what it was, bit for bit. */
export const failsUnchanged = Effect.fnUntraced(function*<A, E extends Failure, R>(stream: Stream.Stream<A, E, R>, tag: string) {
  const { live } = yield* Backend
  const before = yield* takeSnapshot
  const tensors = yield* live
  const error = yield* Effect.flip(Stream.runDrain(stream))
  assert.strictEqual(error._tag, tag, error.message)
  assert.deepStrictEqual(differences(yield* takeSnapshot, before), [])
  assert.strictEqual(yield* live, tensors, "live tensors")
  return error
})

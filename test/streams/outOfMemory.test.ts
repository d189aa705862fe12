/** Memory that runs out at any operation: a typed error that names the batch, no tensor left, nothing half applied and saved. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { TimeGrid } from "../../src/flow/index.ts"
import { Backend, OutOfMemoryError } from "../../src/model/Backend.ts"
import { SpoiledStateError, TrainState } from "../../src/model/TrainState.ts"
import { sample } from "../../src/streams/sample.ts"
import type { TrainOptions } from "../../src/streams/train.ts"
import { testEngine } from "../support/backend.ts"
import { withFailingOperation } from "../support/faultyEngine.ts"
import { tiny, tinyNetwork, tinyState, tinyTraining } from "../support/tinyModel.ts"
import { batches, differences, takeSnapshot, training } from "../support/training.ts"

/** Runs an effect whose operation `failAt` fails. */
const failing = Effect.fnUntraced(function*<A, E, R>(failAt: number, effect: Effect.Effect<A, E, R>) {
  const context = yield* Effect.context<R>()
  const { operations, value } = yield* Effect.promise(() =>
    withFailingOperation(failAt, () => Effect.runPromise(Effect.exit(Effect.provideContext(effect, context)))))
  return { operations, exit: value }
})

const errorOf = <A, E>(exit: Exit.Exit<A, E>): E => {
  assert.isTrue(Exit.isFailure(exit))
  const [reason] = (exit as Exit.Failure<A, E>).cause.reasons
  assert.strictEqual(reason?._tag, "Fail", String((exit as Exit.Failure<A, E>).cause))
  return (reason as { readonly error: E }).error
}

const muon = { ...tinyTraining.optimizer, kind: "muon" as const }
const oneStep = (options: Partial<TrainOptions>) => Stream.runDrain(training(options)(batches(1, 4)))

layer(testEngine)("memory that runs out", (it) => {
  // Every third operation, each time beginning with another: the way forwards and back, which all share, is covered whole.
  for (const [first, [name, options]] of ([["AdamW", {}], ["Muon", { optimizer: muon }], ["accumulation", { gradientAccumulation: 2 }]] as const).entries()) {
    it.effect(`at any operation of a training step (${name}): the weights are those before, or refused`, () =>
      Effect.gen(function*() {
        const { live } = yield* Backend
        const fresh = <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.provide(body, tinyState(tiny, "optimizer" in options ? options.optimizer : tinyTraining.optimizer))
        const { operations } = yield* fresh(failing(Infinity, oneStep(options)))
        assert.isAbove(operations, 100)
        let spoiled = 0
        const atStart = yield* live
        for (let failAt = first; failAt < operations; failAt += 3) {
          yield* fresh(Effect.gen(function*() {
            const state = yield* TrainState
            const [before, tensors] = [yield* takeSnapshot, yield* live]
            const error = errorOf((yield* failing(failAt, oneStep(options))).exit)
            assert.instanceOf(error, OutOfMemoryError)
            assert.include(error.message, "a batch of 4 rows × 12 tokens")
            assert.match(error.message, /Lower data\.batchSize and raise optimizer\.gradientAccumulation/)
            assert.strictEqual(yield* live, tensors + Object.keys(state.accumulated).length, `live tensors after operation ${failAt}`)
            if (state.spoiled) {
              spoiled++
              assert.match((yield* Effect.flip(takeSnapshot)).message, /failed halfway.*go on from the last checkpoint/)
              assert.instanceOf(yield* Effect.flip(oneStep(options)), SpoiledStateError)
            } else assert.deepStrictEqual(differences(yield* takeSnapshot, before), [])
          }))
          assert.strictEqual(yield* live, atStart, "nothing outlives the state")
        }
        assert.isAbove(spoiled, 0, "some operations are in the middle of the update")
      }))
  }

  it.effect("at any operation of a sampler's step", () =>
    Effect.gen(function*() {
      const { live } = yield* Backend
      const tensors = yield* live
      const steps = Stream.runDrain(sample({ keys: [1, 2, 3], seed: 1, gamma: 1, selfConditionScale: 2 })(Stream.fromIterable(TimeGrid.uniform(2))))
      const { operations } = yield* failing(Infinity, steps)
      for (let failAt = 0; failAt < operations; failAt += Math.max(1, Math.floor(operations / 20))) {
        const error = errorOf((yield* failing(failAt, steps)).exit)
        assert.instanceOf(error, OutOfMemoryError)
        assert.match(error.message, /a batch of 3 rows × 12 tokens.*Lower the number of rows at once/s)
        assert.strictEqual(yield* live, tensors)
      }
    }).pipe(Effect.provide(tinyNetwork())))

  it.effect("while a state is made: nothing of it is left", () =>
    Effect.gen(function*() {
      const { live } = yield* Backend
      const tensors = yield* live
      const make = Effect.provide(Effect.asVoid(TrainState), tinyState())
      const { operations } = yield* failing(Infinity, make)
      assert.isAbove(operations, 3)
      for (let failAt = 0; failAt < operations; failAt += Math.max(1, Math.floor(operations / 25))) {
        assert.instanceOf(errorOf((yield* failing(failAt, make)).exit), OutOfMemoryError)
        assert.strictEqual(yield* live, tensors, `after operation ${failAt}`)
      }
    }))
})

import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { corrupt } from "../../src/streams/corrupt.ts"
import { evaluate } from "../../src/streams/evaluate.ts"
import { type LatentBatch, prefetch } from "../../src/streams/index.ts"
import { selfCondition } from "../../src/streams/selfCondition.ts"
import { testEngine } from "../support/backend.ts"
import { chunkingInvariant, noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { misfitBatch, tinyBatch, tinyCorruption, tinyState } from "../support/tinyModel.ts"
import { assertNear } from "../support/tolerances.ts"
import { batches, differences, runOf, takeSnapshot, training } from "../support/training.ts"

const evaluating = <E, R>(upstream: Stream.Stream<LatentBatch, E, R>) => upstream.pipe(corrupt(tinyCorruption), selfCondition, evaluate)

layer(Layer.provideMerge(tinyState(), testEngine))("evaluate", (it) => {
  it.effect("reports what train would, and changes nothing", () =>
    Effect.gen(function*() {
      const before = yield* takeSnapshot
      const [evaluated] = yield* Stream.runCollect(evaluating(batches(1, 4)))
      assert.deepStrictEqual(differences(yield* takeSnapshot, before), [])
      const { metrics: [trained] } = yield* runOf(training()(batches(1, 4)))
      for (const loss of ["loss", "denoiserLoss", "decoderLoss"] as const) assertNear("loss", [evaluated![loss]], [trained![loss]], loss)
    }))

  it.effect("one report a batch, the same whatever lies between: nothing is trained", () =>
    Effect.gen(function*() {
      const reports = yield* Stream.runCollect(evaluating(batches(3)))
      assert.strictEqual(reports.length, 3)
      const ahead = batches(3).pipe(prefetch(1), corrupt(tinyCorruption), selfCondition, prefetch(2), evaluate, Stream.runCollect)
      assert.deepStrictEqual(yield* ahead, reports)
    }))

  const elements = [0, 2, 4].map((first) => tinyBatch(first, 2))
  it.effect("chunking invariance", () => chunkingInvariant(evaluating, elements))
  it.effect("no tensor is left", () => noTensorLeft(evaluating, elements, misfitBatch(2)))
  it.effect("nothing is left after interruption", () => nothingLeftAfterInterruption(evaluating, (index: number) => tinyBatch(2 * index, 2)))
})

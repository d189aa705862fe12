/** The stage `metrics`: what passes, what is written, and what a window's mean is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { meanMetrics, metrics } from "../../src/streams/metrics.ts"
import type { StepMetrics } from "../../src/streams/train.ts"
import { chunked } from "../support/arbitraries.ts"
import { chunkingInvariance, nothingAliveAfterInterruption } from "../support/laws.ts"
import { check } from "../support/prop.ts"

const loss = fc.double({ min: 0, max: 9, noNaN: true })
const element = fc.record({ denoiserLoss: loss, decoderLoss: loss, loss, gradientNorm: loss, learningRate: loss, tokens: fc.nat(99) })

const numbered = <A>(upstream: Stream.Stream<A>): Stream.Stream<A & { step: number; updates: number }> =>
  upstream.pipe(Stream.zipWithIndex, Stream.map(([value, index]) => ({ ...value, step: index + 1, updates: index + 1 })))

describe("metrics", () => {
  it.effect("chunking changes nothing", () => chunkingInvariance((steps: Stream.Stream<StepMetrics>) => steps.pipe(numbered, metrics({ every: 3 })), element.map((value) => ({ ...value, step: 0, updates: 0 }))))

  it.effect("nothing is alive after an interruption", () =>
    nothingAliveAfterInterruption<StepMetrics, StepMetrics, never>(metrics({ every: 2 }), (index) => ({ step: index + 1, updates: index + 1, loss: 1, denoiserLoss: 1, decoderLoss: 1, learningRate: 1, tokens: 1 })))

  it.effect("all steps pass unchanged and are written in order; every window ends at a multiple and is its mean", () =>
    check([chunked(element), fc.integer({ min: 1, max: 5 })], ({ stream, values }, every) =>
      Effect.gen(function*() {
        const written: Array<StepMetrics> = [], windows: Array<StepMetrics> = []
        const collect = (into: Array<StepMetrics>) => (step: StepMetrics) => Effect.sync(() => void into.push(step))
        const passed = yield* stream.pipe(numbered, metrics({ every, write: collect(written), report: collect(windows) }), Stream.runCollect)
        assert.deepStrictEqual(passed, values.map((value, i) => ({ ...value, step: i + 1, updates: i + 1 })))
        assert.deepStrictEqual(written, passed)
        assert.deepStrictEqual(windows.map(({ step }) => step), Array.from({ length: Math.floor(values.length / every) }, (_, i) => (i + 1) * every))
        assert.deepStrictEqual(windows, windows.map(({ step }) => meanMetrics(passed.slice(step - every, step))))
      })))

  it("a step without rows of a branch does not count for its mean", () => {
    const step = { step: 1, updates: 1, loss: 1, learningRate: 1, tokens: 1 }
    const { decoderLoss, denoiserLoss } = meanMetrics([{ ...step, denoiserLoss: 2, decoderLoss: 0 }, { ...step, denoiserLoss: 4, decoderLoss: 3 }])
    assert.deepStrictEqual([denoiserLoss, decoderLoss], [3, 3])
  })
})

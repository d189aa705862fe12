/** A whole training step on every engine: the same losses, norm and weights on all of them. */
import { assert, describe, it as plain } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Backend, type Engine } from "../../src/model/Backend.ts"
import { snapshot, TrainState } from "../../src/model/TrainState.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import { selfCondition } from "../../src/streams/selfCondition.ts"
import { train } from "../../src/streams/train.ts"
import { onEngines } from "../support/backend.ts"
import { tiny, tinyBatch, tinyCorruption, tinyState, tinyTensors, tinyTraining } from "../support/tinyModel.ts"
import { assertNear, relativeError } from "../support/tolerances.ts"

const size = 4
const optimizer = { ...tinyTraining.optimizer, kind: "muon" } as const

const twoSteps = Effect.gen(function*() {
  const backend = yield* Backend
  const state = yield* TrainState
  const before = yield* backend.live
  const metrics = yield* Stream.range(0, 1).pipe(
    Stream.map((step) => tinyBatch(step * size, size)),
    corrupt(tinyCorruption),
    selfCondition,
    train({ ...tinyTraining, optimizer }),
    Stream.runCollect
  )
  assert.strictEqual(yield* backend.live, before, "live tensors")
  return { metrics, end: yield* backend.kernel("snapshot", () => snapshot(state)) }
}).pipe(Effect.provide(tinyState(tiny, optimizer)))

const results = new Map<Engine, Effect.Success<typeof twoSteps>>()

await onEngines(["tensorflow", "wasm", "cpu"], (it, engine) => {
  it.effect("two training steps", () =>
    Effect.gen(function*() {
      const result = yield* twoSteps
      const [, second] = result.metrics
      assert.isAbove(second!.gradientNorm!, 0.1)
      assert.isTrue([second!.denoiserLoss, second!.decoderLoss].every((loss) => loss > 0.1), "both branches are trained")
      const initial = new Map(tinyTensors(tiny).map(({ data, name }) => [name, data]))
      for (const { data, name } of result.end.model) assert.isAbove(relativeError(data, initial.get(name)!), 1e-4, `${name} has moved`)
      results.set(engine, result)
    }))
})

describe("engines agree", () => {
  plain("on losses, norms, weights, averages and moments", () => {
    const [[first, expected] = [], ...others] = [...results]
    if (process.env["ELF_STREAMS_ALLOW_MISSING_ENGINE"] !== "1") assert.strictEqual(others.length, 2)
    for (const [engine, { end, metrics }] of others) {
      const what = `${engine} against ${first}`
      metrics.forEach((each, i) => {
        const reference = expected!.metrics[i]!
        for (const loss of ["loss", "denoiserLoss", "decoderLoss"] as const) assertNear("trajectoryLoss", [each[loss]], [reference[loss]], what)
        assertNear("trajectory", [each.gradientNorm!], [reference.gradientNorm!], what)
      })
      for (const part of ["model", "average", "moments"] as const) {
        end[part].forEach(({ data, name }, i) => assertNear("trajectory", data, expected!.end[part][i]!.data, `${what}: ${part} ${name}`))
      }
    }
  })
})

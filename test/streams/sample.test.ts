import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option, pipe, Stream } from "effect"
import { type Random, Solver, TimeGrid } from "../../src/flow/index.ts"
import { Network } from "../../src/model/Network.ts"
import { prefetch } from "../../src/streams/index.ts"
import { sample, type Sampled, type SampleOptions } from "../../src/streams/sample.ts"
import { testEngine } from "../support/backend.ts"
import { chunkingInvariant, noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { tiny, tinyBatch, tinyNetwork, tinyTensors, tinyVariant } from "../support/tinyModel.ts"
import { throwingSolver } from "../support/throwingSolver.ts"
import { assertNear } from "../support/tolerances.ts"

const [S, D] = [tiny.length, tiny.textWidth]
const keys = [0, 1, 2, 3]
const churned = Solver.sde({ gamma: 1.5 })

type Options = Partial<SampleOptions> & { readonly seed?: number }

const optionsWith = (options: Options): SampleOptions & Random.Seeded => ({
  solver: churned,
  keys,
  noiseScale: 2,
  timeEpsilon: 0.05,
  selfConditionScale: 3,
  guidanceScale: 1,
  selfConditioning: true,
  seed: 5,
  ...options
})

const grid = TimeGrid.logitNormal({ steps: 5, seed: 2 })

const run = (options: Options = {}, steps: ReadonlyArray<TimeGrid.TimeStep> = grid) =>
  Stream.runCollect(pipe(Stream.fromIterable(steps), sample(optionsWith(options))))

const row = (values: Float32Array, index: number) => values.subarray(index * S * D, (index + 1) * S * D)

/** The condition of the tiny batch's rows; row 0 has none. */
const condition = (size: number, first = 0) => {
  const { conditionMask, latents } = tinyBatch(first, size)
  return { latents, mask: conditionMask }
}

layer(Layer.provideMerge(tinyNetwork(), testEngine))("sample", (it) => {
  it.effect("emits the state after every step, up to t = 1", () =>
    Effect.gen(function*() {
      const states = yield* run()
      assert.deepStrictEqual(states.map(({ step }) => step), [...grid])
      assert.strictEqual(states.at(-1)!.step.tNext, 1)
      for (const { prediction, shape, z } of states) {
        assert.deepStrictEqual([...shape], [4, S, D])
        assert.strictEqual(z.length, 4 * S * D)
        assert.isTrue([...z, ...prediction].every(Number.isFinite))
      }
    }))

  it.effect("one step of Euler from t = 0 reaches the prediction", () =>
    Effect.gen(function*() {
      const [only] = yield* run({ solver: Solver.euler }, TimeGrid.uniform(1))
      assertNear("sample", only!.z, only!.prediction, "z at t = 1")
    }))

  it.effect("starts from noise of its scale, a function of the row's key", () =>
    Effect.gen(function*() {
      // A step of length 0 leaves z where it was.
      const still = [{ index: 0, t: 0, tNext: 0, last: false }]
      const start = (options: Options) => Effect.map(run({ solver: Solver.euler, ...options }, still), ([state]) => state!.z)
      const unit = yield* start({ noiseScale: 1 })
      const deviation = Math.sqrt(unit.reduce((sum, x) => sum + x * x, 0) / unit.length)
      assert.closeTo(deviation, 1, 5 / Math.sqrt(2 * unit.length))
      assert.deepStrictEqual(yield* start({ noiseScale: 2 }), unit.map((x) => 2 * x))
      assert.notDeepEqual(yield* start({ noiseScale: 1, seed: 6 }), unit)
      const [swapped, repeated] = [yield* start({ noiseScale: 1, keys: [3, 2, 1, 0] }), yield* start({ noiseScale: 1, keys: [2, 7] })]
      assert.deepStrictEqual([0, 1, 2, 3].map((i) => row(swapped, 3 - i)), [0, 1, 2, 3].map((i) => row(unit, i)))
      assert.deepStrictEqual(row(repeated, 0), row(unit, 2))
    }))

  it.effect("a row's sample does not depend on its neighbours", () =>
    Effect.gen(function*() {
      const together = yield* run({ guidanceScale: 2, condition: condition(4) })
      for (const key of keys) {
        const alone = yield* run({ keys: [key], guidanceScale: 2, condition: condition(1, key) })
        alone.forEach(({ prediction, z }, i) => {
          assertNear("sample", z, row(together[i]!.z, key), `z of row ${key} at step ${i}`)
          assertNear("sample", prediction, row(together[i]!.prediction, key), `x̂ of row ${key} at step ${i}`)
        })
      }
    }))

  it.effect("γ = 0 is the ODE sampler, bit for bit; γ > 0 is not", () =>
    Effect.gen(function*() {
      const ode = yield* run({ solver: Solver.euler })
      assert.deepStrictEqual(yield* run({ solver: Solver.sde({ gamma: 0 }) }), ode)
      assert.notDeepEqual((yield* run()).at(-1)!.z, ode.at(-1)!.z)
    }))

  it.effect("γ of the last step changes nothing: it takes no churn", () =>
    Effect.gen(function*() {
      const last = [{ index: 0, t: 0, tNext: 1, last: true }]
      assert.deepStrictEqual(yield* run({}, last), yield* run({ solver: Solver.euler }, last))
    }))

  it.effect("the condition does not move, whatever the guidance", () =>
    Effect.gen(function*() {
      const held = condition(4)
      assert.isTrue(held.mask.includes(1))
      for (const guidanceScale of [1, 2.5]) {
        for (const { prediction, z } of yield* run({ guidanceScale, condition: held })) {
          held.mask.forEach((isCondition, token) => {
            if (isCondition === 0) return
            const at = (values: Float32Array) => values.slice(token * D, (token + 1) * D)
            assert.deepStrictEqual(at(z), at(held.latents))
            assert.deepStrictEqual(at(prediction), at(held.latents))
          })
        }
      }
    }))

  it.effect("reads the condition's latents at its positions only", () =>
    Effect.gen(function*() {
      const held = condition(4)
      const elsewhere = held.latents.map((x, i) => held.mask[Math.floor(i / D)] === 1 ? x : 99)
      const options = { guidanceScale: 2, condition: held }
      assert.deepStrictEqual(yield* run({ ...options, condition: { ...held, latents: elsewhere } }), yield* run(options))
      const other = held.latents.map((x, i) => held.mask[Math.floor(i / D)] === 1 ? x + 1 : x)
      assert.notDeepEqual(yield* run({ ...options, condition: { ...held, latents: other } }), yield* run(options))
    }))

  it.effect("guidance of the condition means nothing to rows without one", () =>
    Effect.gen(function*() {
      const none = { latents: new Float32Array(4 * S * D), mask: new Float32Array(4 * S) }
      const [guided, plain] = [yield* run({ guidanceScale: 3, condition: none }), yield* run()]
      guided.forEach(({ z }, i) => assertNear("sample", z, plain[i]!.z, `step ${i}`))
      assert.deepStrictEqual(yield* run({ guidanceScale: 3 }), plain)
    }))

  it.effect("take stops early, at the same states; filter and runLast pick among them", () =>
    Effect.gen(function*() {
      const all = yield* run()
      const stream = pipe(Stream.fromIterable(grid), sample(optionsWith({})))
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(stream, 2)), all.slice(0, 2))
      assert.deepStrictEqual(Option.getOrThrow(yield* Stream.runLast(stream)), all.at(-1))
      const late = yield* Stream.runCollect(Stream.filter(stream, ({ step }) => step.tNext > 0.5))
      assert.deepStrictEqual(late, all.filter(({ step }) => step.tNext > 0.5))
    }))

  it.effect("what is not said is the process that the network was trained on, without guidance, with churn", () =>
    Effect.gen(function*() {
      const process = { noiseScale: 3, timeEpsilon: 0.2, selfConditioning: false, maximumCondition: 4 }
      const short = grid.slice(0, 3)
      const unsaid = pipe(Stream.fromIterable(short), sample({ keys, seed: 5 }), Stream.runCollect)
      const said = (options: Options) => run({ selfConditionScale: 1, ...options }, short)
      assert.deepStrictEqual(yield* unsaid, yield* said({}))
      const other = Network.layer({ config: tinyVariant, tensors: tinyTensors(tinyVariant), process })
      const explicit = said({ ...process, solver: Solver.sde({ gamma: 1.5 }) })
      assert.deepStrictEqual(yield* Effect.provide(unsaid, other), yield* Effect.provide(explicit, other))
    }))

  it.effect("works with any solver: Heun's steps cost two evaluations and end elsewhere", () =>
    Effect.gen(function*() {
      const [heun, euler] = [yield* run({ solver: Solver.heun }), yield* run({ solver: Solver.euler })]
      assert.strictEqual(heun.length, grid.length)
      assert.notDeepEqual(heun[0]!.z, euler[0]!.z)
    }))

  const stage = sample(optionsWith({ condition: condition(4), guidanceScale: 2 }))
  it.effect("chunking invariance", () => chunkingInvariant(stage, grid))
  it.effect("look-ahead on either side changes nothing", () =>
    Effect.gen(function*() {
      const ahead: ReadonlyArray<Sampled> = yield* Stream.fromIterable(grid).pipe(prefetch(2), stage, prefetch(2), Stream.runCollect)
      assert.deepStrictEqual(ahead, yield* Stream.runCollect(stage(Stream.fromIterable(grid))))
    }))
  it.effect("no tensor is left", () =>
    noTensorLeft(sample(optionsWith({ solver: throwingSolver, condition: condition(4) })), grid, { index: 99, t: 0.5, tNext: 1, last: true }))
  it.effect("nothing is left after interruption", () =>
    nothingLeftAfterInterruption(stage, (index: number) => ({ index, t: index / (index + 1), tNext: (index + 1) / (index + 2), last: false })))
})

layer(Layer.provideMerge(tinyNetwork(tinyVariant), testEngine))("sample of the variant without scale tokens", (it) => {
  it.effect("extrapolates: v₃ = v₀ + 3·(v₁ − v₀), at the first step that has a prediction", () =>
    Effect.gen(function*() {
      const velocity = (selfConditionScale: number) =>
        Effect.map(run({ selfConditionScale, solver: Solver.euler }, grid.slice(0, 2)), ([before, after]) =>
          after!.z.map((x, i) => (x - before!.z[i]!) / (after!.step.tNext - after!.step.t)))
      const [v0, v1, v3] = [yield* velocity(0), yield* velocity(1), yield* velocity(3)]
      assert.notDeepEqual(v1, v0)
      assertNear("sample", v3, v0.map((v, i) => v + 3 * (v1[i]! - v)), "extrapolated velocity")
    }))
})

import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Path, Random, Solver, TimeGrid } from "../../src/flow/index.ts"
import { seed, time, vectors } from "../support/arbitraries.ts"

type Field = Solver.Problem<Float32Array>["field"]

const unexpected = (): never => assert.fail("this solver has no use for noise")

const solve = (
  solver: Solver.Solver,
  field: Field,
  z: Float32Array,
  grid: ReadonlyArray<TimeGrid.TimeStep>,
  noise: (step: TimeGrid.TimeStep) => Float32Array = unexpected
) =>
  grid.reduce<Solver.State<Float32Array>>(
    (state, step) => solver.step({ ...Solver.hostAlgebra, field, noise }, state, step),
    { z, prediction: undefined }
  )

/** The field of a network that always predicts the data. */
const perfect = (clean: Float32Array, timeEpsilon = 1e-6): Field => (state, t) => ({
  prediction: clean,
  velocity: Path.velocityFromPrediction(clean, state.z, t, timeEpsilon)
})

const close = (actual: Float32Array, expected: Float32Array, tolerance: number) =>
  actual.forEach((x, i) => assert.closeTo(x, expected[i]!, tolerance))

/** The real numbers as a vector space, in fp64 so that rounding does not hide the order of convergence. */
const real: Solver.Algebra<number> = { combine: (terms) => terms.reduce((sum, [c, x]) => sum + c * x, 0) }

/** dz/dt = (1 − 2t)·z has the solution z(0)·exp(t − t²); every term of its Taylor series is at work. */
const curved: Solver.Problem<number> = {
  ...real,
  field: ({ z }, t) => ({ velocity: (1 - 2 * t) * z + Math.cos(t), prediction: z }),
  noise: unexpected
}

const endOf = (solver: Solver.Solver, steps: number) =>
  TimeGrid.uniform(steps).reduce<Solver.State<number>>(
    (state, { index, last }) => solver.step(curved, state, { index, last, t: index / steps, tNext: (index + 1) / steps }),
    { z: 1, prediction: undefined }
  ).z

describe("Euler", () => {
  it("with a perfect prediction reaches the data in one step, from any t", () => {
    fc.assert(fc.property(vectors, time.filter((t) => t < 0.95), ([clean, noise], t) => {
      const z = Path.interpolate(clean, noise, t, 2)
      const end = Solver.euler.step(
        { ...Solver.hostAlgebra, field: perfect(clean), noise: unexpected },
        { z, prediction: undefined },
        { index: 0, t, tNext: 1, last: true }
      )
      close(end.z, clean, 1e-5)
      assert.strictEqual(end.prediction, clean)
    }))
  })

  it("with a perfect prediction reaches the data over any grid", () => {
    fc.assert(fc.property(vectors, seed, fc.integer({ min: 1, max: 40 }), ([clean, noise], seed, steps) => {
      close(solve(Solver.euler, perfect(clean), noise, TimeGrid.logitNormal({ steps, seed })).z, clean, 1e-4)
    }))
  })
})

describe("order of convergence", () => {
  const exact = endOf(Solver.heun, 20_000)
  for (const solver of [Solver.euler, Solver.heun]) {
    it(`of ${solver.name} is ${solver.order}`, () => {
      const error = (steps: number) => Math.abs(endOf(solver, steps) - exact)
      assert.closeTo(Math.log2(error(64) / error(128)), solver.order, 0.05)
    })

    it(`${solver.name} evaluates the field ${solver.evaluations} × a step, at times within it`, () => {
      const times: Array<number> = []
      const field: Field = (state, t) => {
        times.push(t)
        return { velocity: state.z, prediction: state.z }
      }
      solve(solver, field, Float32Array.of(1), TimeGrid.uniform(5))
      assert.strictEqual(times.length, 5 * solver.evaluations)
      assert.isTrue(times.every((t) => t >= 0 && t <= 1))
    })
  }

  it("the closed form of the pure growth field", () => {
    const growth: Field = (state) => ({ velocity: state.z, prediction: state.z })
    assert.closeTo(solve(Solver.euler, growth, Float32Array.of(1), TimeGrid.uniform(4)).z[0]!, 1.25 ** 4, 1e-5)
    assert.closeTo(solve(Solver.heun, growth, Float32Array.of(1), TimeGrid.uniform(4)).z[0]!, (1 + 1 / 4 + 1 / 32) ** 4, 1e-5)
  })
})

describe("churn", () => {
  const churned = (gamma: number, solver = Solver.euler) => Solver.withChurn({ gamma, noiseScale: 2 })(solver)
  const grid = fc.integer({ min: 1, max: 8 }).map(TimeGrid.uniform)

  it("with γ = 0 is the solver itself, bit for bit, and asks for no noise", () => {
    fc.assert(fc.property(vectors, grid, ([clean, noise], grid) => {
      for (const solver of [Solver.euler, Solver.heun]) {
        assert.deepStrictEqual(
          solve(churned(0, solver), perfect(clean), noise, grid),
          solve(solver, perfect(clean), noise, grid)
        )
      }
    }))
  })

  it("goes back along the path: z ← αz + (1 − α)·noiseScale·noise, t ← αt", () => {
    fc.assert(fc.property(vectors, vectors, time, time, fc.float({ min: Math.fround(0.01), max: 4, noNaN: true }), (
      [z], [noise], a, b, gamma
    ) => {
      fc.pre(z.length === noise.length)
      const [t, tNext] = a < b ? [a, b] : [b, a]
      const asked: Array<readonly [Float32Array, number]> = []
      const field: Field = (state, at) => {
        asked.push([state.z, at])
        return { velocity: new Float32Array(z.length), prediction: z }
      }
      const step = { index: 3, t, tNext, last: false }
      churned(gamma).step({ ...Solver.hostAlgebra, field, noise: () => noise }, { z, prediction: z }, step)
      const alpha = Math.min(1, Math.max(0, 1 - gamma * (tNext - t)))
      assert.strictEqual(asked.length, 1)
      assert.strictEqual(asked[0]![1], alpha * t)
      close(asked[0]![0], z.map((x, i) => alpha * x + (1 - alpha) * 2 * noise[i]!), 1e-5)
    }))
  })

  it("a perfect prediction still ends on the data, whatever the noise", () => {
    fc.assert(fc.property(vectors, seed, fc.integer({ min: 1, max: 30 }), ([clean, noise], seed, steps) => {
      const source = Random.keyed(seed)
      const draw = (step: TimeGrid.TimeStep) => source.normal({ purpose: "churn", index: 0, step: step.index }, clean.length)
      const end = solve(Solver.sde({ gamma: 1.5, noiseScale: 2 }), perfect(clean), noise, TimeGrid.uniform(steps), draw)
      close(end.z, clean, 1e-4)
    }))
  })

  it("adds noise of the variance that its formula says, and tells the field the time it went back to", () => {
    const n = 20_000, source = Random.keyed(5)
    const clean = new Float32Array(n), t = 0.4
    const z = Path.interpolate(clean, source.normal({ purpose: "start", index: 0 }, n), t, 1)
    let level = 0, at = 0
    churned(1.5).step({
      ...Solver.hostAlgebra,
      field: (state, t) => {
        level = Math.sqrt(state.z.reduce((sum, x) => sum + x * x, 0) / n)
        at = t
        return { velocity: state.z, prediction: clean }
      },
      noise: () => source.normal({ purpose: "churn", index: 0 }, n)
    }, { z, prediction: undefined }, { index: 0, t, tNext: 0.6, last: false })
    const alpha = 1 - 1.5 * (0.6 - 0.4)
    assert.closeTo(at, alpha * t, 1e-12)
    assert.closeTo(level, Math.hypot(alpha * 0.6, (1 - alpha) * 2), 0.02)
  })

  it("puts the condition back before the field sees it", () => {
    const clean = Float32Array.of(7, 8, 9), mask = [1, 0, 0]
    const seen: Array<number> = []
    churned(1).step({
      ...Solver.hostAlgebra,
      field: (state) => {
        seen.push(...state.z)
        return { velocity: new Float32Array(3), prediction: clean }
      },
      noise: () => Float32Array.of(100, 1, 1),
      restore: (z) => Path.restoreCondition(z, clean, mask)
    }, { z: clean, prediction: clean }, { index: 0, t: 0.5, tNext: 1, last: false })
    assert.deepStrictEqual(seen, [7, 0.5 * 8 + 0.5 * 2, 0.5 * 9 + 0.5 * 2])
  })

  it("the SDE sampler takes its last step without churn, and a single step not at all", () => {
    const steps: Array<number> = []
    const draw = (step: TimeGrid.TimeStep) => {
      steps.push(step.index)
      return Float32Array.of(1)
    }
    const sde = Solver.sde({ gamma: 1, noiseScale: 1 })
    solve(sde, perfect(Float32Array.of(2)), Float32Array.of(0), TimeGrid.uniform(4), draw)
    solve(sde, perfect(Float32Array.of(2)), Float32Array.of(0), TimeGrid.uniform(1), draw)
    assert.deepStrictEqual(steps, [0, 1, 2])
  })

  it("refuses a negative or unknown γ", () => {
    for (const gamma of [-0.1, NaN, Infinity]) assert.throws(() => churned(gamma), /gamma must be finite and ≥ 0/)
  })
})

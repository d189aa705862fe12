import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Path, Random, Solver, TimeGrid } from "../../src/flow/index.ts"
import { seed, time, vectors } from "../support/arbitraries.ts"
import { close, perfect, solve } from "../support/knownFlows.ts"

type Field = Solver.Problem<Float32Array>["field"]

const { adamsBashforth2, euler, heun, midpoint, withLast } = Solver

const unexpected = (): never => assert.fail("this solver has no use for noise")

/** Both churns by their strength. */
const churns = {
  "the reference's churn": (gamma: number) => Solver.withChurn({ gamma }),
  "Karras churn": (churn: number) => Solver.withKarrasChurn({ churn })
}

const draws = (seed: number, length: number) => (step: TimeGrid.TimeStep) =>
  Random.keyed(seed).normal({ purpose: "churn", index: 0, step: step.index }, length)

const grid = fc.integer({ min: 1, max: 8 }).map(TimeGrid.uniform)

/** Where a churned solver takes its step from: the field's first state and time. */
const returned = (solver: Solver.Solver, z: Float32Array, noise: Float32Array, step: TimeGrid.TimeStep) => {
  const asked: Array<{ readonly z: Float32Array; readonly t: number }> = []
  const field: Field = (state, t) => {
    asked.push({ z: state.z, t })
    return { velocity: new Float32Array(z.length), prediction: z }
  }
  solver.step({ ...Solver.hostAlgebra, field, noise: () => noise, noiseScale: 2 }, { z, prediction: z }, step)
  return asked[0]!
}

describe.each(Object.entries(churns))("%s", (_, churn) => {
  it("of 0 is the solver itself, bit for bit, and asks for no noise", () => {
    fc.assert(fc.property(vectors, grid, ([clean, noise], grid) => {
      for (const solver of [euler, heun, midpoint, adamsBashforth2]) {
        assert.deepStrictEqual(solve(churn(0)(solver), perfect(clean), noise, grid), solve(solver, perfect(clean), noise, grid))
      }
    }))
  })

  it("draws once a step, costs no evaluation, and makes a solver stochastic", () => {
    for (const solver of [euler, heun, midpoint, adamsBashforth2]) {
      const steps: Array<number> = []
      let evaluations = 0
      const churned = churn(1)(solver)
      solve(churned, (state) => (evaluations++, { velocity: state.z, prediction: state.z }), Float32Array.of(1), TimeGrid.uniform(5), ({ index }) => {
        steps.push(index)
        return Float32Array.of(0.5)
      })
      assert.deepStrictEqual(steps, [0, 1, 2, 3, 4])
      assert.strictEqual(evaluations, churned.evaluations(5))
      assert.isTrue(churned.stochastic)
      assert.isFalse(solver.stochastic)
    }
  })

  it("never goes forward, and keeps the self-condition", () => {
    fc.assert(fc.property(time, time, fc.double({ min: 0.01, max: 50, noNaN: true }), (a, b, strength) => {
      const step = { index: 3, t: Math.min(a, b), tNext: Math.max(a, b), last: false }
      const self = Float32Array.of(7)
      const asked = returned(churn(strength)(euler), self, Float32Array.of(0), step)
      assert.isTrue(asked.t >= 0 && asked.t <= step.t + 1e-12)
      churn(strength)(euler).step({
        ...Solver.hostAlgebra,
        noiseScale: 2,
        noise: () => Float32Array.of(0),
        field: ({ prediction, z }) => {
          assert.strictEqual(prediction, self)
          return { velocity: z, prediction: z }
        }
      }, { z: Float32Array.of(1), prediction: self }, step)
    }))
  })

  it("forgets the past of a multistep method: each of its steps is the first one", () => {
    fc.assert(fc.property(vectors, seed, grid, ([clean, noise], seed, grid) => {
      const field: Field = (state, t) => ({ prediction: clean, velocity: state.z.map((x, i) => Math.fround(clean[i]! - x * t)) })
      const end = (solver: Solver.Solver) => solve(churn(1)(solver), field, noise, grid, draws(seed, clean.length)).z
      assert.deepStrictEqual(end(adamsBashforth2), end(euler))
    }))
  })

  it("a perfect prediction still ends on the data, whatever the noise and the solver", () => {
    fc.assert(fc.property(vectors, seed, fc.integer({ min: 1, max: 30 }), ([clean, noise], seed, steps) => {
      for (const solver of [euler, heun, midpoint]) {
        const last = withLast(euler)(churn(1.5)(solver))
        close(solve(last, perfect(clean), noise, TimeGrid.uniform(steps), draws(seed, clean.length)).z, clean, 1e-3)
      }
    }))
  })

  it("puts the condition back before the field sees it", () => {
    const clean = Float32Array.of(7, 8, 9), mask = [1, 0, 0]
    const seen: Array<number> = []
    churn(1)(euler).step({
      ...Solver.hostAlgebra,
      noiseScale: 2,
      field: (state) => {
        seen.push(...state.z)
        return { velocity: new Float32Array(3), prediction: clean }
      },
      noise: () => Float32Array.of(100, 1, 1),
      restore: (z) => Path.restoreCondition(z, clean, mask)
    }, { z: clean, prediction: clean }, { index: 0, t: 0.5, tNext: 1, last: false })
    assert.strictEqual(seen[0], 7)
    assert.notStrictEqual(seen[1], 8)
  })

  it("refuses a negative or unknown strength, and to churn twice", () => {
    for (const strength of [-0.1, NaN, Infinity]) assert.throws(() => churn(strength)(euler), /must be finite and ≥ 0/)
    for (const other of Object.values(churns)) assert.throws(() => churn(1)(other(1)(euler)), /churned already/)
  })
})

describe("the reference's churn", () => {
  it("goes back along the path: z ← αz + (1 − α)·noiseScale·noise, t ← αt", () => {
    fc.assert(fc.property(vectors, time, time, fc.float({ min: Math.fround(0.01), max: 4, noNaN: true }), ([z, noise], a, b, gamma) => {
      const [t, tNext] = a < b ? [a, b] : [b, a]
      const asked = returned(Solver.withChurn({ gamma })(euler), z, noise, { index: 3, t, tNext, last: false })
      const alpha = Math.min(1, Math.max(0, 1 - gamma * (tNext - t)))
      assert.strictEqual(asked.t, alpha * t)
      close(asked.z, z.map((x, i) => alpha * x + (1 - alpha) * 2 * noise[i]!), 1e-5)
    }))
  })

  it("the SDE sampler takes its last step without churn, and a single step not at all", () => {
    const steps: Array<number> = []
    const draw = (step: TimeGrid.TimeStep) => {
      steps.push(step.index)
      return Float32Array.of(1)
    }
    const sde = Solver.sde({ gamma: 1 })
    solve(sde, perfect(Float32Array.of(2)), Float32Array.of(0), TimeGrid.uniform(4), draw)
    solve(sde, perfect(Float32Array.of(2)), Float32Array.of(0), TimeGrid.uniform(1), draw)
    assert.deepStrictEqual(steps, [0, 1, 2])
  })

  it("with γ = 0 is the ODE sampler, bit for bit", () => {
    fc.assert(fc.property(vectors, grid, ([clean, noise], grid) => {
      assert.deepStrictEqual(solve(Solver.sde({ gamma: 0 }), perfect(clean), noise, grid, unexpected), solve(euler, perfect(clean), noise, grid))
    }))
  })
})

describe("Karras churn", () => {
  /** The coefficients of data and noise in z ← keep·z + add·noise, read off unit vectors. */
  const coefficients = (churn: number, step: TimeGrid.TimeStep) => {
    const asked = returned(Solver.withKarrasChurn({ churn })(euler), Float32Array.of(1, 0), Float32Array.of(0, 1), step)
    return { keep: asked.z[0]!, add: asked.z[1]! / 2, t: asked.t }
  }

  it("leaves the path's marginal: data weighs t, noise 1 − t, at the time it went back to", () => {
    fc.assert(fc.property(time, time, fc.double({ min: 0, max: 50, noNaN: true }), (a, b, churn) => {
      const step = { index: 0, t: Math.min(a, b), tNext: Math.max(a, b), last: false }
      const { add, keep, t } = coefficients(churn, step)
      assert.closeTo(keep * step.t, t, 1e-6)
      assert.closeTo(Math.hypot(keep * (1 - step.t), add), 1 - t, 1e-6)
    }))
  })

  it("raises the noise level by churn·h, and by √2 − 1 at most", () => {
    const level = (t: number) => (1 - t) / t
    fc.assert(fc.property(fc.double({ min: 0.05, max: 0.9, noNaN: true }), fc.double({ min: 0, max: 50, noNaN: true }), (t, churn) => {
      const step = { index: 0, t, tNext: t + 0.1, last: false }
      assert.closeTo(level(coefficients(churn, step).t) / level(t) - 1, Math.min(churn * 0.1, Math.SQRT2 - 1), 1e-6)
    }))
  })

  it("draws noise anew at t = 0 and leaves its level as it is", () => {
    const { add, keep, t } = coefficients(100, { index: 0, t: 0, tNext: 0.5, last: false })
    assert.strictEqual(t, 0)
    assert.closeTo(Math.hypot(keep, add), 1, 1e-6)
    assert.closeTo(keep, Math.SQRT1_2, 1e-6)
  })
})

import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Random, Samplers, TimeGrid } from "../../src/flow/index.ts"
import { seed, vectors } from "../support/arbitraries.ts"
import { close, perfect, solve } from "../support/knownFlows.ts"

const { solverNames, solverOf, stepsWithin } = Samplers

const choices = solverNames.flatMap((solver): ReadonlyArray<Samplers.SolverChoice> =>
  solver === "sde" ? [{ solver, gamma: 1.5 }] : [{ solver, gamma: 1.5 }, { solver, gamma: 1.5, churn: 5 }])

const named = choices.map((choice) => [`${choice.solver}${choice.churn !== undefined ? " with churn" : ""}`, choice] as const)

describe("the table of samplers", () => {
  it("has the reference's two first", () => assert.deepStrictEqual(solverNames.slice(0, 2), ["sde", "ode"]))

  it.each(named)("%s: the last step is one Euler step without noise, so that a perfect prediction is reached", (_, choice) => {
    const solver = solverOf(choice)
    fc.assert(fc.property(vectors, seed, fc.integer({ min: 1, max: 20 }), ([clean, noise], seed, steps) => {
      const source = Random.keyed(seed)
      const times: Array<number> = []
      const drawn: Array<number> = []
      const end = solve(solver, (state, t) => (times.push(t), perfect(clean)(state, t)), noise, TimeGrid.uniform(steps), ({ index }) => {
        drawn.push(index)
        return source.normal({ purpose: "churn", index: 0, step: index }, clean.length)
      })
      assert.strictEqual(times.length, solver.evaluations(steps))
      assert.strictEqual(times.at(-1), Math.fround((steps - 1) / steps))
      assert.deepStrictEqual(drawn, solver.stochastic ? Array.from({ length: steps - 1 }, (_, i) => i) : [])
      close(end.z, clean, 1e-3)
    }))
  })

  it.each(named)("%s: no more steps than the evaluations are enough for", (_, choice) => {
    const solver = solverOf(choice)
    fc.assert(fc.property(fc.integer({ min: 1, max: 300 }), (evaluations) => {
      const steps = stepsWithin(choice, evaluations)
      assert.isAtMost(solver.evaluations(steps), evaluations)
      assert.isAbove(solver.evaluations(steps + 1), evaluations)
    }))
  })

  it("counts 2·steps − 1 evaluations for methods with two a step", () => {
    assert.deepStrictEqual(solverNames.map((solver) => solverOf({ solver, gamma: 1 }).evaluations(32)), [32, 32, 63, 63, 32])
  })

  it("refuses churn on sde, which has its own", () => {
    assert.throws(() => solverOf({ solver: "sde", gamma: 1, churn: 1 }), /churn must be 0 with sde/)
  })
})

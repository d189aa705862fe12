import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Path, Solver, TimeGrid } from "../../src/flow/index.ts"
import { seed, time, vectors } from "../support/arbitraries.ts"
import { close, endOf, known, perfect, solve, timesOf } from "../support/knownFlows.ts"

const { adamsBashforth2, euler, heun, midpoint, withLast } = Solver

const methods = [euler, heun, midpoint, adamsBashforth2]

const uniform = (steps: number) => timesOf(Array.from({ length: steps + 1 }, (_, i) => i / steps))

/** Grids whose steps are up to about twice as long as their neighbours, refined without changing their shape. */
const warped = (steps: number) => timesOf(Array.from({ length: steps + 1 }, (_, i) => i / steps + 0.3 * Math.sin((2 * Math.PI * i) / steps) / (2 * Math.PI)))

/** Steps of random lengths, none of them shorter than a twelfth of another. */
const unevenGrid = fc.array(fc.double({ min: 1, max: 12, noNaN: true }), { minLength: 2, maxLength: 12 }).map((lengths) => {
  const ends = lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))
  return timesOf([0, ...ends.slice(0, -1).map((end) => end / ends.at(-1)!), 1])
})

describe("Euler", () => {
  it("with a perfect prediction reaches the data in one step, from any t", () => {
    fc.assert(fc.property(vectors, time.filter((t) => t < 0.95), ([clean, noise], t) => {
      const z = Path.interpolate(clean, noise, t, 2)
      const end = solve(euler, perfect(clean), z, [{ index: 0, t, tNext: 1, last: true }])
      close(end.z, clean, 1e-5)
      assert.strictEqual(end.prediction, clean)
    }))
  })

  it("with a perfect prediction reaches the data over any grid", () => {
    fc.assert(fc.property(vectors, seed, fc.integer({ min: 1, max: 40 }), ([clean, noise], seed, steps) => {
      close(solve(euler, perfect(clean), noise, TimeGrid.logitNormal({ steps, seed })).z, clean, 1e-4)
    }))
  })
})

describe.each(methods)("$name", (solver) => {
  for (const [shape, grid] of [["equal", uniform], ["unequal", warped]] as const) {
    it.each(known)(`converges at its order on $name, over ${shape} steps`, (field) => {
      const error = (steps: number) => Math.abs(endOf(solver, field, grid(steps)) - field.end)
      assert.closeTo(Math.log2(error(256) / error(512)), solver.order, 0.15)
      assert.closeTo(Math.log2(error(256) / error(512)), Math.log2(error(512) / error(1024)), 0.1)
    })
  }

  it("keeps its order where the last step is Euler's", () => {
    for (const field of known) {
      const error = (steps: number) => Math.abs(endOf(withLast(euler)(solver), field, uniform(steps)) - field.end)
      assert.isAtLeast(Math.log2(error(512) / error(1024)), solver.order - 0.15, field.name)
    }
  })

  it("is exact on constant fields, over any grid", () => {
    const value = fc.double({ min: -8, max: 8, noNaN: true })
    fc.assert(fc.property(value, value, unevenGrid, (start, slope, grid) => {
      assert.closeTo(endOf(solver, { start, velocity: () => slope }, grid), start + slope, 1e-12)
    }))
  })

  it("is exact on v = a + b·t where its order is 2, but for a first step of a multistep method", () => {
    const value = fc.double({ min: -8, max: 8, noNaN: true })
    fc.assert(fc.property(value, value, unevenGrid, (a, b, grid) => {
      const missed = solver === euler ? grid : solver === adamsBashforth2 ? grid.slice(0, 1) : []
      const expected = a + b / 2 - missed.reduce((sum, { t, tNext }) => sum + (b * (tNext - t) ** 2) / 2, 0)
      assert.closeTo(endOf(solver, { start: 0, velocity: (_, t) => a + b * t }, grid), expected, 1e-12)
    }))
  })

  it("evaluates the field as often as it promises, at times within the step", () => {
    fc.assert(fc.property(unevenGrid, (grid) => {
      const seen: Array<number> = []
      for (const step of grid) {
        const before = seen.length
        endOf(solver, { start: 1, velocity: (_, t) => seen.push(t) }, [step])
        assert.isTrue(seen.slice(before).every((t) => t >= step.t && t <= step.tNext))
      }
      assert.strictEqual(seen.length, solver.evaluations(grid.length))
    }))
  })

  it("hands each evaluation the prediction of the one before", () => {
    let count = 0
    const read: Array<number | undefined> = []
    solve(solver, (state) => {
      read.push(state.prediction?.[0])
      return { velocity: state.z, prediction: Float32Array.of(++count) }
    }, Float32Array.of(1), TimeGrid.uniform(4))
    assert.deepStrictEqual(read, Array.from(read, (_, i) => i === 0 ? undefined : i))
  })

  it("leaves z where it was in a step of no length", () => {
    const still = [{ index: 0, t: 0.5, tNext: 0.5, last: false }, { index: 1, t: 0.5, tNext: 0.5, last: false }]
    assert.strictEqual(endOf(solver, { start: 3, velocity: (z) => z }, still), 3)
  })
})

describe("all methods", () => {
  it("agree in the limit", () => {
    for (const field of known) {
      for (const solver of methods) assert.closeTo(endOf(solver, field, uniform(4096)), field.end, 1e-3, `${solver.name} on ${field.name}`)
    }
  })

  it("have the closed forms of the pure growth field", () => {
    const growth = (solver: Solver.Solver) => endOf(solver, { start: 1, velocity: (z) => z }, uniform(4))
    assert.closeTo(growth(euler), 1.25 ** 4, 1e-12)
    assert.closeTo(growth(heun), (1 + 1 / 4 + 1 / 32) ** 4, 1e-12)
    assert.closeTo(growth(midpoint), (1 + 1 / 4 + 1 / 32) ** 4, 1e-12)
    // z₁ = 5/4; zₙ₊₁ = zₙ + (3zₙ − zₙ₋₁)/8
    assert.closeTo(growth(adamsBashforth2), [1, 2, 3].reduce(([a, b]) => [b!, b! + (3 * b! - a!) / 8], [1, 1.25])[1]!, 1e-12)
  })

  it("on a field that reads its own prediction fall back to order 1, as long as that lags behind", () => {
    // ẑ' = −ẑ + p/2 with p the slope seen last: the prediction is one evaluation old.
    const error = (solver: Solver.Solver, steps: number) => {
      const end = uniform(steps).reduce<Solver.State<number>>((state, step) =>
        solver.step({
          combine: (terms) => terms.reduce((sum, [c, x]) => sum + c * x, 0),
          noiseScale: 1,
          noise: () => assert.fail("no noise"),
          field: ({ prediction = 0, z }) => ({ velocity: -z + prediction / 2, prediction: z })
        }, state, step), { z: 1, prediction: 1 })
      return Math.abs(end.z - Math.exp(-0.5))
    }
    for (const solver of methods) assert.closeTo(Math.log2(error(solver, 512) / error(solver, 1024)), 1, 0.1, solver.name)
  })
})

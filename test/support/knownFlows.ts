/** Problems with known solutions, and a loop over a grid. */
import { assert } from "@effect/vitest"
import { Path, Solver, type TimeGrid } from "../../src/flow/index.ts"

type Field = Solver.Problem<Float32Array>["field"]

const unexpected = (): never => assert.fail("this solver has no use for noise")

export const solve = (
  solver: Solver.Solver,
  field: Field,
  z: Float32Array,
  grid: ReadonlyArray<TimeGrid.TimeStep>,
  noise: (step: TimeGrid.TimeStep) => Float32Array = unexpected
) =>
  grid.reduce<Solver.State<Float32Array>>(
    (state, step) => solver.step({ ...Solver.hostAlgebra, field, noise, noiseScale: 2 }, state, step),
    { z, prediction: undefined }
  )

/** The field of a network that always predicts the data. */
export const perfect = (clean: Float32Array, timeEpsilon = 1e-6): Field => (state, t) => ({
  prediction: clean,
  velocity: Path.velocityFromPrediction(clean, state.z, t, timeEpsilon)
})

export const close = (actual: Float32Array, expected: Float32Array, tolerance: number) =>
  actual.forEach((x, i) => assert.closeTo(x, expected[i]!, tolerance))

/** The real numbers as a vector space, in fp64 so that rounding does not hide the order of convergence. */
const real: Solver.Algebra<number> = { combine: (terms) => terms.reduce((sum, [c, x]) => sum + c * x, 0) }

/** A field on the real line with the solution from z(0) = `start` at t = 1. */
export interface Known {
  readonly name: string
  readonly start: number
  readonly velocity: (z: number, t: number) => number
  readonly end: number
}

/** Linear with coefficients that change, linear and forced, and two that are not linear. */
export const known: ReadonlyArray<Known> = [
  { name: "z' = (1 − 3t)·z", start: 1, velocity: (z, t) => (1 - 3 * t) * z, end: Math.exp(-0.5) },
  { name: "z' = cos t − z", start: 1, velocity: (z, t) => Math.cos(t) - z, end: (Math.cos(1) + Math.sin(1)) / 2 + Math.exp(-1) / 2 },
  { name: "z' = −z²", start: 2, velocity: (z) => -z * z, end: 2 / 3 },
  { name: "z' = sin z", start: 1, velocity: (z) => Math.sin(z), end: 2 * Math.atan(Math.E * Math.tan(0.5)) }
]

/** Exact times, in fp64: those of {@link TimeGrid} are fp32. */
export const timesOf = (times: ReadonlyArray<number>): ReadonlyArray<TimeGrid.TimeStep> =>
  times.slice(1).map((tNext, index) => ({ index, t: times[index]!, tNext, last: index + 2 === times.length }))

/** Where `solver` ends on a field of the real line. */
export const endOf = (solver: Solver.Solver, { start, velocity }: Pick<Known, "start" | "velocity">, steps: ReadonlyArray<TimeGrid.TimeStep>): number => {
  const problem: Solver.Problem<number> = { ...real, noiseScale: 1, noise: unexpected, field: ({ z }, t) => ({ velocity: velocity(z, t), prediction: z }) }
  return steps.reduce<Solver.State<number>>((state, step) => solver.step(problem, state, step), { z: start, prediction: undefined }).z
}

/** A solver that fails while it has tensors. */
import { Solver } from "../../src/flow/index.ts"

/** Euler's method; throws at step 99, in the middle of its tensors. */
export const throwingSolver: Solver.Solver = {
  ...Solver.euler,
  step: (problem, state, step) => {
    const next = Solver.euler.step(problem, state, step)
    if (step.index === 99) throw new Error("no such step")
    return next
  }
}

/**
 * Methods for dz/dt = v(z, t): three of one step, one that remembers the step before.
 *
 * @source Euler: ELF `src/utils/sampling_utils.py`, `_ode_step` (arXiv 2605.10938); the others: Hairer, Nørsett, Wanner,
 * *Solving Ordinary Differential Equations I*, II.1 (Runge–Kutta) and III.5 (variable steps)
 * @since 0.1.0
 */
import type { Solver } from "./Solver.ts"

/** z ← z + h·v(z, t). */
export const euler: Solver = {
  name: "euler",
  order: 1,
  evaluations: (steps) => steps,
  stochastic: false,
  step: ({ combine, field }, state, { t, tNext }) => {
    const { prediction, velocity } = field(state, t)
    return { z: combine([[1, state.z], [tNext - t, velocity]]), prediction }
  }
}

/**
 * Heun's method, the explicit trapezoidal rule: an Euler step, then the mean of the slopes at both ends.
 *
 * **Gotchas** Its second slope stands at `tNext`. At t = 1 the network's velocity is (x̂ − z)/timeEpsilon, which says
 * nothing any more: take the last step with Euler, as {@link withLast} does.
 */
export const heun: Solver = {
  name: "heun",
  order: 2,
  evaluations: (steps) => 2 * steps,
  stochastic: false,
  step: ({ combine, field }, state, { t, tNext }) => {
    const h = tNext - t
    const first = field(state, t)
    const reached = combine([[1, state.z], [h, first.velocity]])
    const second = field({ z: reached, prediction: first.prediction }, tNext)
    return {
      z: combine([[1, state.z], [h / 2, first.velocity], [h / 2, second.velocity]]),
      prediction: second.prediction
    }
  }
}

/** The explicit midpoint rule: half an Euler step, then a whole step with the slope found there. */
export const midpoint: Solver = {
  name: "midpoint",
  order: 2,
  evaluations: (steps) => 2 * steps,
  stochastic: false,
  step: ({ combine, field }, state, { t, tNext }) => {
    const h = tNext - t
    const first = field(state, t)
    const halfway = combine([[1, state.z], [h / 2, first.velocity]])
    const { prediction, velocity } = field({ z: halfway, prediction: first.prediction }, t + h / 2)
    return { z: combine([[1, state.z], [h, velocity]]), prediction }
  }
}

/**
 * The Adams–Bashforth method of two steps on any grid: with k the length of the step before and r = h/k,
 * z ← z + h·((1 + r/2)·v − (r/2)·vBefore), the integral of the line through both slopes. On equal steps 3/2 and −1/2.
 *
 * **Details** The first step, and one after a step of length 0, is Euler's, which leaves the order as it is.
 *
 * **Gotchas** A short step before a long one makes r large, and whatever the two slopes differ by is taken r/2 times:
 * prefer grids whose steps change slowly, such as the uniform one.
 */
export const adamsBashforth2: Solver = {
  name: "ab2",
  order: 2,
  evaluations: (steps) => steps,
  stochastic: false,
  step: ({ combine, field }, state, { t, tNext }) => {
    const h = tNext - t
    const { prediction, velocity } = field(state, t)
    const past = { velocity, t }
    const before = state.past
    if (before === undefined || before.t >= t) return { z: combine([[1, state.z], [h, velocity]]), prediction, past }
    const half = h / (t - before.t) / 2
    return { z: combine([[1, state.z], [h * (1 + half), velocity], [-h * half, before.velocity]]), prediction, past }
  }
}

/** Takes the last step with `last` and all the others with `solver`. */
export const withLast = (last: Solver) => (solver: Solver): Solver => ({
  ...solver,
  evaluations: (steps) => (steps === 1 ? 0 : solver.evaluations(steps - 1)) + last.evaluations(1),
  stochastic: solver.stochastic || last.stochastic,
  step: (problem, state, step) => (step.last ? last : solver).step(problem, state, step)
})

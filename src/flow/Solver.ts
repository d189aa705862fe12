/**
 * Solvers: how to cross one time step, given a velocity field. A solver knows nothing of models, streams or devices.
 *
 * A step is a synchronous pure function over any vector space `Z`, host arrays and device tensors alike, so one step
 * is one kernel. Whoever provides the space owns the memory: a solver never releases a value.
 *
 * @source ELF `src/utils/sampling_utils.py`, `_ode_step`, `_sde_step` (arXiv 2605.10938)
 * @since 0.1.0
 */
import { requireArgument } from "./errors.ts"
import type { TimeStep } from "./TimeGrid.ts"

/** The vector-space operation that solvers need: Σ coefficient · value. At least one term is given. */
export interface Algebra<Z> {
  readonly combine: (terms: ReadonlyArray<readonly [coefficient: number, value: Z]>) => Z
}

/** The solution at one time: `z`, and the last prediction of the data made on the way (the self-condition). */
export interface State<Z> {
  readonly z: Z
  readonly prediction: Z | undefined
}

/** The slope of the path at one state and time, with the prediction it came from. */
export interface Slope<Z> {
  readonly velocity: Z
  readonly prediction: Z
}

/** What a solver solves. */
export interface Problem<Z> extends Algebra<Z> {
  /** dz/dt at (`state.z`, `t`). */
  readonly field: (state: State<Z>, t: number) => Slope<Z>
  /** N(0, 1) values of the shape of `z` for a step; asked for at most once a step, by churn only. */
  readonly noise: (step: TimeStep) => Z
  /** Puts back the positions of `z` that must not move (the condition) after noise was added; identity when absent. */
  readonly restore?: (z: Z) => Z
}

/** A one-step method. */
export interface Solver {
  readonly name: string
  /** Order of the global error in the step length. */
  readonly order: number
  /** Field evaluations in one step: what a step costs. */
  readonly evaluations: number
  readonly step: <Z>(problem: Problem<Z>, state: State<Z>, step: TimeStep) => State<Z>
}

/** z ← z + h·v(z, t). */
export const euler: Solver = {
  name: "euler",
  order: 1,
  evaluations: 1,
  step: ({ combine, field }, state, { t, tNext }) => {
    const { prediction, velocity } = field(state, t)
    return { z: combine([[1, state.z], [tNext - t, velocity]]), prediction }
  }
}

/** Heun's method, the explicit trapezoidal rule: an Euler step, then the mean of the slopes at both ends. */
export const heun: Solver = {
  name: "heun",
  order: 2,
  evaluations: 2,
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

/**
 * Goes back towards noise before each step of `solver`, which turns an ODE solver into an SDE sampler:
 * z ← α·z + (1 − α)·noiseScale·noise and t ← α·t, with α = clamp(1 − γ·h, 0, 1).
 *
 * **Details** γ ≥ 0 has the unit 1/time; γ = 0 is `solver` itself. The self-condition is kept.
 *
 * **Gotchas** The reference never churns the last step: see {@link withLast}.
 */
export const withChurn =
  (options: { readonly gamma: number; readonly noiseScale: number }) => (solver: Solver): Solver => {
    const { gamma, noiseScale } = options
    requireArgument(Number.isFinite(gamma) && gamma >= 0, "Solver.withChurn.gamma", "finite and ≥ 0", gamma)
    requireArgument(Number.isFinite(noiseScale), "Solver.withChurn.noiseScale", "finite", noiseScale)
    return gamma === 0 ? solver : {
      ...solver,
      name: `${solver.name}+churn`,
      step: (problem, state, step) => {
        const { combine, noise, restore = (z) => z } = problem
        const alpha = Math.min(1, Math.max(0, 1 - gamma * (step.tNext - step.t)))
        const z = restore(combine([[alpha, state.z], [(1 - alpha) * noiseScale, noise(step)]]))
        return solver.step(problem, { ...state, z }, { ...step, t: alpha * step.t })
      }
    }
  }

/** Takes the last step with `last` and all the others with `solver`. */
export const withLast = (last: Solver) => (solver: Solver): Solver => ({
  ...solver,
  step: (problem, state, step) => (step.last ? last : solver).step(problem, state, step)
})

/** The reference's SDE sampler: Euler with churn, the last step without. */
export const sde = (options: { readonly gamma: number; readonly noiseScale: number }): Solver => ({
  ...withLast(euler)(withChurn(options)(euler)),
  name: "sde"
})

/** Host arrays as a vector space, rounded to fp32 after every operation as a device does. */
export const hostAlgebra: Algebra<Float32Array> = {
  combine: (terms) => {
    const out = new Float32Array(terms[0]![1].length)
    for (const [coefficient, value] of terms) {
      const factor = Math.fround(coefficient)
      for (let i = 0; i < out.length; i++) out[i] = out[i]! + Math.fround(factor * value[i]!)
    }
    return out
  }
}

/**
 * Solvers: how to cross one time step, given a velocity field. A solver knows nothing of models, streams or devices.
 *
 * A step is a synchronous pure function over any vector space `Z`, host arrays and device tensors alike, so one step
 * is one kernel. Whoever provides the space owns the memory: a solver never releases a value.
 *
 * The methods are in `Methods.ts`, the decorators that add noise in `Churn.ts`, and the table of those that have a name
 * on the command line in `Samplers.ts`.
 *
 * @since 0.1.0
 */
import type { TimeStep } from "./TimeGrid.ts"

export { sde, withChurn, withKarrasChurn } from "./Churn.ts"
export { adamsBashforth2, euler, heun, midpoint, withLast } from "./Methods.ts"

/** The vector-space operation that solvers need: Σ coefficient · value. At least one term is given. */
export interface Algebra<Z> {
  readonly combine: (terms: ReadonlyArray<readonly [coefficient: number, value: Z]>) => Z
}

/** What a multistep method remembers of the step before: its slope, and the time it was taken at. */
export interface Past<Z> {
  readonly velocity: Z
  readonly t: number
}

/** The solution at one time: `z`, and the last prediction of the data made on the way (the self-condition). */
export interface State<Z> {
  readonly z: Z
  readonly prediction: Z | undefined
  /** Left behind by multistep methods only, and by every one of their steps. */
  readonly past?: Past<Z>
}

/** The slope of the path at one state and time, with the prediction it came from. */
export interface Slope<Z> {
  readonly velocity: Z
  readonly prediction: Z
}

/** What a solver solves. */
export interface Problem<Z> extends Algebra<Z> {
  /**
   * dz/dt at (`state.z`, `t`). It reads `state.prediction` as its self-condition: a method with several evaluations in a
   * step hands each one the prediction of the one before, the freshest there is, as training pairs a state with a
   * prediction made at that very state.
   */
  readonly field: (state: State<Z>, t: number) => Slope<Z>
  /** N(0, 1) values of the shape of `z` for a step; asked for at most once a step, by churn only. */
  readonly noise: (step: TimeStep) => Z
  /** Standard deviation of the path's noise at t = 0: what churn scales its noise by. */
  readonly noiseScale: number
  /** Puts back the positions of `z` that must not move (the condition) after noise was added; identity when absent. */
  readonly restore?: (z: Z) => Z
}

/** A method: it crosses one step at a time. */
export interface Solver {
  readonly name: string
  /** Order of the global error in the step length, on smooth fields that do not read `state.prediction`. */
  readonly order: number
  /** Field evaluations over `steps` ≥ 1 steps, the last of which ends at t = 1: what a sample costs. */
  readonly evaluations: (steps: number) => number
  /** Whether it asks for noise. */
  readonly stochastic: boolean
  readonly step: <Z>(problem: Problem<Z>, state: State<Z>, step: TimeStep) => State<Z>
}

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

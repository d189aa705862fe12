/**
 * The table of samplers by name: what the command line, run files and evaluation choose from.
 *
 * Every one takes its last step with Euler and without noise: from t = 1 − h that step ends on the prediction itself,
 * z ← x̂ (for h ≥ timeEpsilon), the only sound place to end, and it needs no slope at t = 1.
 *
 * @since 0.1.0
 */
import { sde, withKarrasChurn } from "./Churn.ts"
import { requireArgument } from "./errors.ts"
import { adamsBashforth2, euler, heun, midpoint, withLast } from "./Methods.ts"
import type { Solver } from "./Solver.ts"

/** A sampler in the table. */
interface Sampler {
  /** What it is, in a few words, for help texts. */
  readonly about: string
  /** Its method; churn is put around it. */
  readonly method: Solver
}

/** By name. `sde` and `ode` are the reference's two. */
export const samplers = {
  sde: { about: "Euler with the reference's churn (gamma)", method: euler },
  ode: { about: "Euler, an evaluation a step", method: euler },
  heun: { about: "order 2, two evaluations a step", method: heun },
  midpoint: { about: "order 2, two evaluations a step", method: midpoint },
  ab2: { about: "Adams–Bashforth of order 2, an evaluation a step; for uniform grids", method: adamsBashforth2 }
} as const satisfies Readonly<Record<string, Sampler>>

/** The name of a sampler. */
export type SolverName = keyof typeof samplers

/** All names, in the table's order. */
export const solverNames = Object.keys(samplers) as [SolverName, ...Array<SolverName>]

/** What a solver is made from. */
export interface SolverChoice {
  readonly solver: SolverName
  /** γ of `sde`, ≥ 0; the others do not read it. */
  readonly gamma: number
  /** Karras churn of any other solver, ≥ 0. Default 0, none. */
  readonly churn?: number
}

/** The solver of a choice. Throws an `ArgumentError` for churn on `sde`, which has a churn of its own. */
export const solverOf = ({ churn = 0, gamma, solver }: SolverChoice): Solver => {
  requireArgument(solver !== "sde" || churn === 0, "Samplers.solverOf.churn", "0 with sde, whose churn is gamma", churn)
  return solver === "sde" ? sde({ gamma }) : withLast(euler)(withKarrasChurn({ churn })(samplers[solver].method))
}

/** The steps that `evaluations` ≥ 1 evaluations of the network are enough for: at least 1. */
export const stepsWithin = (choice: SolverChoice, evaluations: number): number => {
  requireArgument(Number.isSafeInteger(evaluations) && evaluations >= 1, "Samplers.stepsWithin.evaluations", "an integer ≥ 1", evaluations)
  const solver = solverOf(choice)
  let steps = 1
  while (solver.evaluations(steps + 1) <= evaluations) steps++
  return steps
}

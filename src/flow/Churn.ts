/**
 * Churn: a decorator that goes back towards noise before each step of a solver, which makes an SDE sampler of an ODE
 * solver. Two laws of it: the reference's, and that of Karras et al., which leaves the path's marginals as they are.
 *
 * Both keep the self-condition, and forget what a multistep method remembers: the slope of the step before belongs to
 * another trajectory. A churned multistep method therefore takes its first step again and again.
 *
 * @since 0.1.0
 */
import { requireArgument } from "./errors.ts"
import { euler, withLast } from "./Methods.ts"
import type { Solver } from "./Solver.ts"
import type { TimeStep } from "./TimeGrid.ts"

/** How far a step goes back: z ← keep·z + add·noiseScale·noise, at the time `t`. */
interface Return {
  readonly keep: number
  readonly add: number
  readonly t: number
}

const churned = (solver: Solver, where: string, strength: number, back: (step: TimeStep) => Return): Solver => {
  requireArgument(Number.isFinite(strength) && strength >= 0, where, "finite and ≥ 0", strength)
  if (strength === 0) return solver
  requireArgument(!solver.stochastic, where, "0 on a solver that is churned already", strength)
  return {
    ...solver,
    name: `${solver.name}+churn`,
    stochastic: true,
    step: (problem, { prediction, z }, step) => {
      const { combine, noise, noiseScale, restore = (z) => z } = problem
      const { add, keep, t } = back(step)
      return solver.step(problem, { prediction, z: restore(combine([[keep, z], [add * noiseScale, noise(step)]])) }, { ...step, t })
    }
  }
}

/**
 * The reference's churn: z ← α·z + (1 − α)·noiseScale·noise and t ← α·t, with α = clamp(1 − γ·h, 0, 1).
 *
 * **Details** γ ≥ 0 has the unit 1/time; γ = 0 is `solver` itself.
 *
 * **Gotchas** Two independent noises add up in variance, so this `z` has less noise than the path has at α·t:
 * α²(1 − t)² + (1 − α)² against (1 − αt)². The reference never churns the last step: see `withLast`.
 *
 * @source ELF `src/utils/sampling_utils.py`, `_sde_step` (arXiv 2605.10938)
 */
export const withChurn = ({ gamma }: { readonly gamma: number }) => (solver: Solver): Solver =>
  churned(solver, "Solver.withChurn.gamma", gamma, ({ t, tNext }) => {
    const alpha = Math.min(1, Math.max(0, 1 - gamma * (tNext - t)))
    return { keep: alpha, add: 1 - alpha, t: alpha * t }
  })

/** Karras et al. never raise the noise level by more than this share in one step. */
const greatestRise = Math.SQRT2 - 1

/**
 * Churn that keeps the path's law: the noise level σ = (1 − t)/t rises to (1 + γ)·σ with γ = min(churn·h, √2 − 1), and z
 * is what the path has there: z ← α·z + α·(1 − t)·√((1 + γ)² − 1)·noiseScale·noise, t ← α·t, with α = 1/(t + (1 + γ)(1 − t)).
 *
 * **Details** `churn` ≥ 0 has the unit 1/time; on a uniform grid of N steps γ is that of Karras et al., S_churn/N.
 * `churn` = 0 is `solver` itself.
 *
 * @source Karras et al., arXiv 2206.00364, Algorithm 2, with S_noise 1 and no bounds on σ
 */
export const withKarrasChurn = ({ churn }: { readonly churn: number }) => (solver: Solver): Solver =>
  churned(solver, "Solver.withKarrasChurn.churn", churn, ({ t, tNext }) => {
    const rise = 1 + Math.min(churn * (tNext - t), greatestRise)
    const alpha = 1 / (t + rise * (1 - t))
    return { keep: alpha, add: alpha * (1 - t) * Math.sqrt(rise ** 2 - 1), t: alpha * t }
  })

/** The reference's SDE sampler: Euler with churn, the last step without. */
export const sde = (options: { readonly gamma: number }): Solver => ({ ...withLast(euler)(withChurn(options)(euler)), name: "sde" })

/**
 * Guidance: pushing a prediction away from the one made without the condition (CFG) or without the self-condition
 * (SC-CFG). The formulas and the law of the scale w that a network is trained on.
 *
 * @source ELF `src/utils/sampling_utils.py`, `sample_cfg_scale`, `_forward_sample`, and `src/train_step.py`
 * (arXiv 2605.10938)
 * @since 0.1.0
 */
import { requireArgument } from "./errors.ts"
import type { Algebra } from "./Solver.ts"

const fround = Math.fround

/** A range of self-condition scales, −1 < minimum ≤ maximum. */
export interface ScaleRange {
  readonly minimum: number
  readonly maximum: number
}

/**
 * w for a uniform draw u in [0, 1): log-uniform in (1 + w), that is
 * w = (1 + minimum)·((1 + maximum)/(1 + minimum))^u − 1.
 *
 * **Gotchas** Not log-uniform in w: the published models were trained with this law, on [0.5, 5].
 */
export const scaleFromUniform = ({ maximum, minimum }: ScaleRange): (u: number) => number => {
  const bounded = maximum >= minimum && Number.isFinite(maximum)
  requireArgument(minimum > -1, "Guidance.scaleFromUniform.minimum", "above −1", minimum)
  requireArgument(bounded, "Guidance.scaleFromUniform.maximum", "finite and ≥ minimum", maximum)
  const least = fround(1 + minimum)
  const logRatio = fround(Math.log(fround((1 + maximum) / (1 + minimum))))
  return (u) => fround(fround(least * fround(Math.exp(fround(u * logRatio)))) - 1)
}

/** unconditional + scale·(conditional − unconditional): scale 1 is the conditional, 0 the unconditional. */
export const combine = <Z>(algebra: Algebra<Z>, unconditional: Z, conditional: Z, scale: number): Z =>
  algebra.combine([[1, unconditional], [scale, algebra.combine([[1, conditional], [-1, unconditional]])]])

/**
 * 1 − 1/w: the share of (conditional − unconditional) velocity that is added to the training target, so that one
 * forward pass at scale w learns the guided field. Negative for w < 1, 0 at w = 1; w must not be 0.
 */
export const targetWeight = (scale: number): number => {
  requireArgument(scale !== 0 && !Number.isNaN(scale), "Guidance.targetWeight.scale", "a number other than 0", scale)
  return fround(1 - fround(1 / scale))
}

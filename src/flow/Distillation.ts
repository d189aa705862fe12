/**
 * The times and the target of progressive distillation: a student learns to cover, in one step, what a teacher covers
 * in several.
 *
 * A student of step size h (1/N for N steps) is asked at a time t for a prediction whose one Euler step of size h ends
 * where several smaller steps of the teacher end.
 *
 * @source ELF branch `distillation`, `src/distill_train_step.py`, `src/utils/distill_utils.py` (arXiv 2605.10938)
 * @since 0.1.0
 */
import { requireArgument } from "./errors.ts"
import type { TimeDistribution } from "./TimeDistribution.ts"

const fround = Math.fround

/** What one step of the student covers: 0 ≤ start ≤ end, fp32 values. */
export interface Span {
  readonly start: number
  /** 1 at most, up to 2⁻²⁰ of rounding in a student of one step. */
  readonly end: number
}

/** A student of one step starts at t = 0, but for this much. */
const leastRoom = 1e-6

/** Below this length a span says nothing about where it leads. */
const shortestSpan = fround(1e-3)

const requireStepSize = (name: string, stepSize: number): void =>
  requireArgument(stepSize > 0 && stepSize <= 1, `Distillation.${name}.stepSize`, "in (0, 1]", stepSize)

/** The law of the time at which a student's step begins: `law`, squeezed into [0, 1 − stepSize]. */
export const spanStart = (law: TimeDistribution, stepSize: number): TimeDistribution => {
  requireStepSize("spanStart", stepSize)
  const room = fround(Math.max(1 - stepSize, leastRoom))
  return { name: `${law.name} · ${room}`, draw: law.draw, fromDraw: (value) => fround(law.fromDraw(value) * room) }
}

/** The span of the student's step that begins at `start`. */
export const spanFrom = (start: number, stepSize: number): Span => {
  requireStepSize("spanFrom", stepSize)
  return { start, end: fround(start + fround(stepSize)) }
}

/** The teacher's times within a span, `[draws.length + 2]`: ascending, its start first, its end last. Draws lie in [0, 1]. */
export const drawnTimes = ({ end, start }: Span, draws: Float32Array): Float32Array => {
  const length = fround(end - start)
  const inner = draws.toSorted().map((draw) => start + fround(length * draw))
  return Float32Array.of(start, ...inner, end)
}

/** The times of `steps` equal steps of the teacher within a span, `[steps + 1]`. */
export const equalTimes = ({ end, start }: Span, steps: number): Float32Array => {
  requireArgument(Number.isSafeInteger(steps) && steps >= 1, "Distillation.equalTimes.steps", "an integer ≥ 1", steps)
  const times = Float32Array.of(...new Float32Array(steps).fill(start), end)
  for (let i = 1; i < steps; i++) times[i] = times[i - 1]! + fround(fround(end - times[i - 1]!) / (steps - i + 1))
  return times
}

/** Whether a span is too short to be inverted: the target is then the teacher's own last prediction. */
export const isDegenerate = ({ end, start }: Span): boolean => fround(end - start) < shortestSpan

/**
 * (1 − start) / (end − start): how many times the way from z to the teacher's end has to be gone to arrive at t = 1. The
 * target of a prediction at `start` is z + this · (end of the teacher − z).
 * @source `distill_utils.py`, `teacher_pd_target`
 */
export const extrapolation = ({ end, start }: Span): number =>
  fround(fround(1 - start) / Math.max(fround(end - start), fround(leastRoom)))

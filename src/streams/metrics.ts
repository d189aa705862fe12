/**
 * Looking at a run as it goes: every step to a log, the mean of a window of steps to whoever watches.
 */
import { Effect, Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import type { Stage } from "./Stage.ts"
import type { StepMetrics } from "./train.ts"

/** Who is told what. */
export interface MetricsOptions<E, R> {
  /** Gets each step. */
  readonly write?: (metrics: StepMetrics) => Effect.Effect<void, E, R>
  /** Steps in a window, ≥ 1; windows end at multiples of it, so that a resumed run has the same ones. */
  readonly every: number
  /** Gets the last step of each window, its losses replaced by the window's means. */
  readonly report?: (window: StepMetrics) => Effect.Effect<void, E, R>
}

const sumOf = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0)

/** Of the finite values: a batch that was passed over has no others. */
const mean = (values: ReadonlyArray<number>): number => {
  const finite = values.filter(Number.isFinite)
  return sumOf(finite) / Math.max(1, finite.length)
}

/** Mean losses of at least one step. A step without rows of a branch does not count for that branch. */
export const meanMetrics = (window: ReadonlyArray<StepMetrics>): StepMetrics => ({
  ...window.at(-1)!,
  loss: mean(window.map(({ loss }) => loss)),
  denoiserLoss: mean(window.map(({ denoiserLoss }) => denoiserLoss).filter((loss) => loss > 0)),
  decoderLoss: mean(window.map(({ decoderLoss }) => decoderLoss).filter((loss) => loss > 0))
})

/** Passes metrics through unchanged and tells `write` and `report` before they go on. A last, shorter window is not reported. */
export const metrics = <E = never, R = never>(options: MetricsOptions<E, R>): Stage<StepMetrics, StepMetrics, E, R> => {
  const { every, report = () => Effect.void, write = () => Effect.void } = options
  requireArgument(Number.isSafeInteger(every) && every >= 1, "metrics.every", "an integer ≥ 1", every)
  return Stream.mapAccumEffect(
    (): ReadonlyArray<StepMetrics> => [],
    Effect.fnUntraced(function*(seen: ReadonlyArray<StepMetrics>, step: StepMetrics) {
      yield* write(step)
      const window = [...seen, step]
      if (step.step % every !== 0) return [window, [step]] as const
      yield* report(meanMetrics(window))
      return [[], [step]] as const
    })
  )
}

/**
 * What a training run tells as it goes: metrics to its log, progress lines and held-out losses to the terminal.
 */
import { Clock, Effect } from "effect"
import { MetricsLog, type RunConfig, TensorBoardLog } from "../io/index.ts"
import type { Losses } from "../model/Loss.ts"
import type { StepMetrics } from "../streams/train.ts"
import { duration, type Rate, rateSince, readable, report } from "./progress.ts"
import { setGauges } from "./trainMetrics.ts"

const progressLine = (window: StepMetrics, total: number, { perSecond, secondsLeft }: Rate): string =>
  [
    `step ${window.step}/${total}`,
    `denoiser ${readable(window.denoiserLoss)}`,
    `decoder ${readable(window.decoderLoss)}`,
    `${readable(perSecond * window.tokens)} tokens/s`,
    `ETA ${duration(secondsLeft)}`,
    ...(window.skipped === true ? ["passed over: not finite"] : [])
  ].join("  ")

/** The log of a run that has one; a resumed run goes on behind its step. */
const openLog = ({ log }: RunConfig.RunConfig, step: number) =>
  log.file === undefined ? Effect.succeed(undefined) : MetricsLog.open(log.file, step > 0 ? { resumeAfter: step } : {})

const openBoard = ({ log }: RunConfig.RunConfig, step: number) =>
  log.tensorboard === undefined ? Effect.succeed(undefined) : TensorBoardLog.open(log.tensorboard, step)

/** How a run's held-out losses are measured; undefined without held-out files. */
export type HeldOutLoss<E, R> = Effect.Effect<Losses, E, R> | undefined

/**
 * Opens the log of a run that begins behind `step` and ends with `total`. The result is what the stage `metrics` takes,
 * and more.
 */
export const trainWatch = Effect.fnUntraced(function*<E, R>(run: RunConfig.RunConfig, step: number, total: number, heldOutLoss: HeldOutLoss<E, R>) {
  const log = yield* openLog(run, step)
  const rate = rateSince(yield* Clock.currentTimeMillis, step, total)
  const board = yield* openBoard(run, step)
  const append = Effect.fnUntraced(function*(metrics: MetricsLog.StepMetrics) {
    if (log !== undefined) yield* log.append(metrics)
    if (board !== undefined) yield* board.append(metrics)
    yield* setGauges(metrics)
  })
  let measured: { readonly at: number; readonly loss: number } | undefined

  /** Says the held-out loss of the weights after `at` steps, once; undefined without held-out files. */
  const heldOut = Effect.fnUntraced(function*(at: number) {
    if (heldOutLoss === undefined) return undefined
    if (measured?.at === at) return measured.loss
    const { loss } = yield* heldOutLoss
    measured = { at, loss }
    yield* report(`step ${at}/${total}  held-out loss ${readable(loss)}`)
    return loss
  })

  /** The same, and in the log. */
  const loggedHeldOut = Effect.fnUntraced(function*(at: number) {
    const known = measured?.at === at
    const loss = yield* heldOut(at)
    if (loss !== undefined && !known) yield* append({ step: at, heldOutLoss: loss })
    return loss
  })

  const write = ({ resume: _, ...metrics }: StepMetrics) =>
    Effect.gen(function*() {
      yield* append({ ...metrics, time: yield* Clock.currentTimeMillis })
      if (metrics.step % run.log.heldOutEvery !== 0 || metrics.step === total) return
      yield* loggedHeldOut(metrics.step)
    })

  const reportWindow = (window: StepMetrics) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => report(progressLine(window, total, rate(now, window.step))))

  return { every: Math.min(run.log.every, total), write, report: reportWindow, heldOut, loggedHeldOut, sync: log === undefined ? Effect.void : log.sync }
})

/** What {@link trainWatch} gives. */
export type TrainWatch = Effect.Success<ReturnType<typeof trainWatch>>

/** Tells nobody: for the processes of a group that only help. */
export const silentWatch = {
  every: Number.MAX_SAFE_INTEGER,
  write: (_: StepMetrics) => Effect.void,
  report: (_: StepMetrics) => Effect.void,
  heldOut: (_: number) => Effect.succeed<number | undefined>(undefined),
  loggedHeldOut: (_: number) => Effect.succeed<number | undefined>(undefined),
  sync: Effect.void
}

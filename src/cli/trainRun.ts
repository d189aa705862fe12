/**
 * A training run from its run file: data, stages, progress, held-out loss and checkpoints.
 */
import { Clock, Effect, Layer, Ref, Schema, Stream } from "effect"
import { existsSync } from "node:fs"
import { keyed } from "../flow/Random.ts"
import { Checkpoint, MetricsLog, type RunConfig } from "../io/index.ts"
import { initialParameters } from "../model/Initialization.ts"
import { Tokenizer } from "../model/Tokenizer.ts"
import { snapshot, TrainState, type TrainStart } from "../model/TrainState.ts"
import { corruptionOptions, trainOptions } from "../run/corruption.ts"
import { heldOutBatches, heldOutLosses } from "../run/heldOut.ts"
import { readTrainSnapshot, writeTrainCheckpoint } from "../run/runCheckpoint.ts"
import { trainingBatches } from "../run/trainingData.ts"
import { processOf } from "../run/sampling.ts"
import { encoderLayer } from "../run/weights.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import { checkpoint } from "../streams/checkpoint.ts"
import { corrupt } from "../streams/corrupt.ts"
import { selfCondition } from "../streams/selfCondition.ts"
import { type StepMetrics, train } from "../streams/train.ts"
import { duration, rateSince, readable, report } from "./progress.ts"

/** What a finished run did. */
export interface TrainSummary {
  readonly steps: number
  readonly seconds: number
  readonly tokensPerSecond: number
  readonly checkpoint: string
  readonly heldOutBefore?: number
  readonly heldOutAfter?: number
}

/** A run file and whether to go on from its latest checkpoint. */
export interface TrainRequest {
  readonly run: RunConfig.RunConfig
  readonly resume: boolean
}

interface Start {
  readonly state: TrainStart
  readonly step: number
  readonly position: PackPosition | undefined
}

/** A new run would mix its checkpoints with those of an earlier one. */
class RunFolderError extends Schema.TaggedError<RunFolderError>()("RunFolderError", { folder: Schema.String, latest: Schema.String }) {
  override get message(): string {
    return `${this.folder} already holds checkpoints (the latest is ${this.latest}). Go on from it with --resume, or give the run another checkpoint.directory.`
  }
}

const refuseUsedFolder = (folder: string) =>
  existsSync(folder)
    ? Effect.flatMap(Checkpoint.list(folder), (found) =>
      found.length === 0 ? Effect.void : Effect.fail(new RunFolderError({ folder, latest: found.at(-1)!.name })))
    : Effect.void

/** Initial weights, or the latest checkpoint of the run's folder. */
const startOf = Effect.fnUntraced(function*({ resume, run }: TrainRequest) {
  const { model: config, optimizer } = run
  if (!resume) yield* refuseUsedFolder(run.checkpoint.directory)
  if (!resume) return { state: { config, optimizer, from: initialParameters(config, keyed(run.seed)) }, step: 0, position: undefined } as Start
  const latest = yield* Checkpoint.read(run.checkpoint.directory)
  const { resume: position, snapshot: from } = yield* readTrainSnapshot(latest, run)
  yield* report(`resuming at step ${latest.step} of ${latest.path}`)
  return { state: { config, optimizer, from }, step: latest.step, position } as Start
})

const progressLine = (metrics: StepMetrics, total: number, tokensPerSecond: number, secondsLeft: number): string =>
  [
    `step ${metrics.step}/${total}`,
    `denoiser ${readable(metrics.denoiserLoss)}`,
    `decoder ${readable(metrics.decoderLoss)}`,
    `${readable(tokensPerSecond)} tokens/s`,
    `ETA ${duration(secondsLeft)}`
  ].join("  ")

/** Averages of the losses since the last line; a batch without rows of a branch does not count for it. */
const averager = () => {
  let seen: Array<StepMetrics> = []
  const mean = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length)
  return (metrics: StepMetrics, due: boolean): StepMetrics | undefined => {
    seen.push(metrics)
    if (!due) return undefined
    const window = seen
    seen = []
    return {
      ...metrics,
      loss: mean(window.map(({ loss }) => loss)),
      denoiserLoss: mean(window.map(({ denoiserLoss }) => denoiserLoss).filter((loss) => loss > 0)),
      decoderLoss: mean(window.map(({ decoderLoss }) => decoderLoss).filter((loss) => loss > 0))
    }
  }
}

const openLog = (run: RunConfig.RunConfig, step: number) =>
  run.log.file === undefined ? Effect.succeed(undefined) : MetricsLog.open(run.log.file, step > 0 ? { resumeAfter: step } : {})

const runFrom = Effect.fnUntraced(function*({ run }: TrainRequest, start: Start) {
  const total = run.optimizer.steps * run.optimizer.gradientAccumulation
  const log = yield* openLog(run, start.step)
  const state = yield* TrainState
  const heldOut = yield* heldOutBatches(run)
  const heldOutLoss = Effect.map(heldOutLosses(heldOut), ({ loss }) => loss)
  const heldOutBefore = heldOut.length > 0 ? yield* heldOutLoss : undefined
  if (heldOutBefore !== undefined) yield* report(`held-out loss ${readable(heldOutBefore)} before step ${start.step + 1}`)
  const last = yield* Ref.make<string>(run.checkpoint.directory)
  const started = yield* Clock.currentTimeMillis
  const rate = rateSince(started, start.step, total)
  const average = averager()

  const save = ({ resume }: StepMetrics) =>
    Effect.gen(function*() {
      if (log !== undefined) yield* log.sync
      const written = yield* writeTrainCheckpoint(run, { snapshot: snapshot(state), resume })
      yield* Ref.set(last, written.path)
    })

  const watch = (metrics: StepMetrics) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const { perSecond, secondsLeft } = rate(now, metrics.step)
      const { resume: _, ...numbers } = metrics
      if (log !== undefined) yield* log.append({ ...numbers, time: now })
      const averaged = average(metrics, metrics.step % run.log.every === 0 || metrics.step === total)
      if (averaged !== undefined) yield* report(progressLine(averaged, total, perSecond * metrics.tokens, secondsLeft))
      if (heldOut.length > 0 && metrics.step % run.log.heldOutEvery === 0 && metrics.step < total) {
        const loss = yield* heldOutLoss
        if (log !== undefined) yield* log.append({ step: metrics.step, heldOutLoss: loss })
        yield* report(`step ${metrics.step}/${total}  held-out loss ${readable(loss)}`)
      }
    })

  const tokens = yield* trainingBatches(run, { from: start.position }).pipe(
    Stream.take(Math.max(0, total - start.step)),
    corrupt({ ...corruptionOptions(run), source: keyed(run.seed) }),
    selfCondition,
    train(trainOptions(run)),
    Stream.tap(watch),
    checkpoint({ every: run.checkpoint.every, write: save, step: ({ step }) => step }),
    Stream.runFold(() => 0, (sum, metrics) => sum + metrics.tokens)
  )
  const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
  const heldOutAfter = heldOut.length > 0 ? yield* heldOutLoss : undefined
  return {
    steps: state.step,
    seconds,
    tokensPerSecond: tokens / Math.max(seconds, 1e-3),
    checkpoint: yield* Ref.get(last),
    ...(heldOutBefore === undefined ? {} : { heldOutBefore }),
    ...(heldOutAfter === undefined ? {} : { heldOutAfter })
  } as TrainSummary
})

/** Trains a run to its last step and says what came of it. */
export const trainRun = Effect.fnUntraced(function*(request: TrainRequest) {
  const start = yield* startOf(request)
  const layers = Layer.mergeAll(TrainState.layer({ ...start.state, process: processOf(request.run) }), encoderLayer(request.run), Tokenizer.layer)
  return yield* Effect.scoped(runFrom(request, start)).pipe(Effect.provide(layers))
})

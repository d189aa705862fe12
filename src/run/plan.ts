/**
 * A run that is measured in epochs, measured in steps.
 *
 * @since 0.1.0
 */
import { Effect, Schema, Stream } from "effect"
import { Parquet, type RunConfig } from "../io/index.ts"
import { tokenize } from "../streams/tokenize.ts"
import { tokenizerLayer } from "./encoder.ts"
import { countRows, NoDataError, trainingFiles } from "./trainingFiles.ts"

/** A run whose number of steps is known. */
export interface PlannedRun extends RunConfig.RunConfig {
  readonly optimizer: RunConfig.RunConfig["optimizer"] & { readonly steps: number }
}

/** The epochs of a run are too short for one update. */
export class ShortRunError extends Schema.TaggedError<ShortRunError>()("ShortRunError", {
  rows: Schema.Number,
  epochs: Schema.Number,
  updateRows: Schema.Number
}) {
  override get message(): string {
    return `${this.epochs} epochs of ${Math.round(this.rows)} rows do not fill one update of ${this.updateRows} rows. ` +
      "Lower data.batchSize or optimizer.gradientAccumulation, or give more data."
  }
}

/** Documents that the length of all is judged by. */
const documentsRead = 2048

/** Tokens of a document and the EOS between it and the next, on average over the first ones. */
const meanTokens = ({ data: { column, train } }: RunConfig.RunConfig) =>
  Effect.map(
    Parquet.read(train, { column }).pipe(Stream.take(documentsRead), tokenize, Stream.map(({ length }) => length + 1), Stream.runCollect),
    (lengths) => lengths.reduce((a, b) => a + b, 0) / Math.max(1, lengths.length)
  )

/**
 * Rows of S tokens that one pass over the data gives: one for each pair; for packed text as many as its tokens fill, which
 * is judged by the first 2,048 documents and so exact for smaller data only. A function of the files alone.
 */
export const rowsPerEpoch = Effect.fnUntraced(function*(run: RunConfig.RunConfig) {
  const documents = countRows(yield* trainingFiles(run.data.train))
  if (documents === 0) return yield* new NoDataError({ pattern: String(run.data.train) })
  return run.data.conditionColumn === undefined ? (documents * (yield* meanTokens(run))) / run.model.length : documents
})

/** A length and a warm-up, each in steps or in epochs. */
interface Duration {
  readonly steps: number | undefined
  readonly epochs: number | undefined
  readonly warmupSteps: number
  readonly warmupEpochs: number | undefined
}

/** A duration in steps; steps that are given win over epochs. */
const stepsOf = Effect.fnUntraced(function*(run: RunConfig.RunConfig, { epochs = 0, steps: given, warmupEpochs, warmupSteps: warmup }: Duration) {
  const byEpochs = warmupEpochs !== undefined && warmup === 0
  if (given !== undefined && !byEpochs) return { steps: given, warmupSteps: warmup }
  const rows = yield* rowsPerEpoch(run).pipe(Effect.provide(tokenizerLayer(run)))
  const updateRows = run.data.batchSize * run.optimizer.gradientAccumulation
  const updates = (epochs: number): number => Math.floor((epochs * rows) / updateRows)
  const steps = given ?? updates(epochs)
  if (steps === 0) return yield* new ShortRunError({ rows, epochs, updateRows })
  return { steps, warmupSteps: Math.min(steps, byEpochs ? updates(warmupEpochs) : warmup) }
})

/**
 * Fills in the steps of a run and of its warm-up where the run file counts them in epochs. The data is looked at only then.
 *
 * **Details** Steps are updates: epochs × rows / (batchSize × gradientAccumulation), rounded down. Fails with
 * `ShortRunError` if that is none, and with the errors of reading the data.
 *
 * @source `train.py`, `run_training`
 */
export const planRun = Effect.fnUntraced(function*(run: RunConfig.RunConfig) {
  const { data: { epochs }, optimizer: { warmupEpochs, ...optimizer } } = run
  const { steps, warmupSteps } = optimizer
  return { ...run, optimizer: { ...optimizer, ...(yield* stepsOf(run, { steps, epochs, warmupSteps, warmupEpochs })) } } as PlannedRun
})

/** The distillation section of a run file. */
export type DistillationSection = NonNullable<RunConfig.RunConfig["distillation"]>

/** A distillation whose rounds' number of steps is known. */
export interface PlannedDistillation extends DistillationSection {
  readonly stepsPerRound: number
}

/**
 * Fills in the steps of a distillation's rounds and of their warm-up, as `planRun` does those of a run.
 *
 * @source branch `distillation`, `src/distill_train.py`
 */
export const planDistillation = Effect.fnUntraced(function*(run: RunConfig.RunConfig, section: DistillationSection) {
  const { epochsPerRound: epochs, stepsPerRound: steps, warmupEpochs, warmupSteps, ...rest } = section
  const planned = yield* stepsOf(run, { steps, epochs, warmupSteps, warmupEpochs })
  return { ...rest, stepsPerRound: planned.steps, warmupSteps: planned.warmupSteps } as PlannedDistillation
})

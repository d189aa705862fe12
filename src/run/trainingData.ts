/**
 * The data half of a run: from parquet files to batches of latents.
 *
 * @since 0.1.0
 */
import { Effect, Schema, Stream } from "effect"
import { keyed } from "../flow/Random.ts"
import { Parquet, type RunConfig } from "../io/index.ts"
import { Tokenizer } from "../model/Tokenizer.ts"
import { batch } from "../streams/batch.ts"
import { dropLabels, splitCondition } from "../streams/condition.ts"
import { embed } from "../streams/embed.ts"
import { pack, packPairs } from "../streams/pack.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import { shuffle } from "../streams/shuffle.ts"
import { tokenize, tokenizePairs } from "../streams/tokenize.ts"

/** The files of a run hold no row. */
export class NoDataError extends Schema.TaggedError<NoDataError>()("NoDataError", { pattern: Schema.String }) {
  override get message(): string {
    return `${this.pattern} has no rows to train on. Name parquet files that have some under data.train.`
  }
}

/** Where in the files to begin: at the start, or where an earlier run stopped. */
export interface DataStart {
  readonly from?: PackPosition | undefined
}

/** Rows of the parquet files that match `pattern`, as their footers say. */
export const rowCount = (pattern: RunConfig.RunConfig["data"]["train"]) =>
  Effect.flatMap(Parquet.files(pattern), (paths) =>
    Effect.map(
      Effect.forEach(paths, (path) => Effect.scoped(Effect.map(Parquet.open(path), ({ rowGroups }) => rowGroups.reduce((sum, group) => sum + group.rows, 0)))),
      (counts) => counts.reduce((a, b) => a + b, 0)
    ))

/** Repeats the files for as many passes as the run wants, beginning behind `skip` documents. */
const repeated = <A, E, R>(once: Stream.Stream<A, E, R>, run: RunConfig.RunConfig, skip: number) =>
  Stream.unwrap(Effect.gen(function*() {
    const { epochs, train } = run.data
    const rows = yield* rowCount(train)
    if (rows === 0) return yield* new NoDataError({ pattern: String(train) })
    const endless = once.pipe(Stream.forever, shuffle({ seed: run.seed, window: run.data.shuffleWindow }))
    const limited = epochs === undefined ? endless : Stream.take(endless, Math.round(epochs * rows))
    return Stream.drop(limited, skip)
  }))

const packed = (run: RunConfig.RunConfig, { from }: DataStart) =>
  Stream.unwrap(Effect.map(Tokenizer, ({ endOfSequenceId, padId }) => {
    const { column, conditionColumn, padding, train } = run.data
    const start = from === undefined ? {} : { from }
    const skip = from?.documents ?? 0
    if (conditionColumn === undefined) {
      return repeated(Parquet.read(train, { column }), run, skip).pipe(
        tokenize,
        pack({ length: run.model.length, endOfSequenceId, padId, remainder: "drop", ...start })
      )
    }
    return repeated(Parquet.readPairs(train, { condition: conditionColumn, target: column }), run, skip).pipe(
      tokenizePairs,
      packPairs({ length: run.model.length, maximumCondition: run.data.condition.maximum, padId: padding === "eos" ? endOfSequenceId : padId, ...start })
    )
  }))

/** Rows as the encoder reads them. Pairs have their condition; packed text gets one from its own beginning. */
const rows = (run: RunConfig.RunConfig, start: DataStart) => {
  const source = keyed(run.seed)
  const { condition, conditionColumn, labelDropProbability } = run.data
  const split = splitCondition({ ...condition, probability: conditionColumn === undefined ? condition.probability : 0, source })
  return packed(run, start).pipe(split, dropLabels({ probability: labelDropProbability, source }))
}

/** Batches of latents, in an order that is a function of the run file and the position alone. */
export const trainingBatches = (run: RunConfig.RunConfig, start: DataStart = {}) =>
  rows(run, start).pipe(
    embed({ batchSize: run.data.batchSize }),
    batch({ size: run.data.batchSize })
  )

/**
 * The data half of a run: from parquet files to batches of latents.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { keyed } from "../flow/Random.ts"
import { Parquet, type RunConfig } from "../io/index.ts"
import { Tokenizer } from "../model/Tokenizer.ts"
import { batch } from "../streams/batch.ts"
import { dropLabels, splitCondition } from "../streams/condition.ts"
import { embed } from "../streams/embed.ts"
import { pack, packPairs } from "../streams/pack.ts"
import { prefetch } from "../streams/prefetch.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import { shard, type Share, shareSize } from "../streams/shard.ts"
import { shuffle } from "../streams/shuffle.ts"
import { tokenize, tokenizePairs } from "../streams/tokenize.ts"
import { countRows, NoDataError, positionOf, trainingFiles } from "./trainingFiles.ts"

/** Where in the files to begin: at the start, or where an earlier run stopped; and whose rows to take. */
export interface DataStart {
  readonly from?: PackPosition | undefined
  /** The rows of each batch that this process trains on; default: all. */
  readonly share?: Share
}

/** Repeats the files for as many passes as the run wants; `read` reads one pass from a row on. Begins with document `first`. */
const repeated = <A, E, R>(read: (from?: Parquet.Position) => Stream.Stream<A, E, R>, run: RunConfig.RunConfig, first: number) =>
  Stream.unwrap(Effect.gen(function*() {
    const { epochs, shuffleWindow, train } = run.data
    const files = yield* trainingFiles(train)
    const rows = countRows(files)
    if (rows === 0) return yield* new NoDataError({ pattern: String(train) })
    const begin = positionOf(files, first, shuffleWindow)
    const documents = Stream.concat(read(begin), Stream.forever(read())).pipe(
      shuffle({ seed: run.seed, window: shuffleWindow, first: begin.window }),
      Stream.drop(begin.passedOver)
    )
    return epochs === undefined ? documents : Stream.take(documents, Math.max(0, Math.round(epochs * rows) - first))
  }))

const packed = (run: RunConfig.RunConfig, { from }: DataStart) =>
  Stream.unwrap(Effect.map(Tokenizer, ({ endOfSequenceId, padId }) => {
    const { column, conditionColumn, padding, train } = run.data
    const start = from === undefined ? {} : { from }
    const first = from?.documents ?? 0
    const begin = (at?: Parquet.Position) => at === undefined ? {} : { from: at }
    if (conditionColumn === undefined) {
      return repeated((at) => Parquet.read(train, { column, ...begin(at) }), run, first).pipe(
        tokenize,
        pack({ length: run.model.length, endOfSequenceId, padId, remainder: "drop", ...start })
      )
    }
    return repeated((at) => Parquet.readPairs(train, { condition: conditionColumn, target: column, ...begin(at) }), run, first).pipe(
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
export const trainingBatches = (run: RunConfig.RunConfig, start: DataStart = {}) => {
  const { share = { rank: 0, count: 1 } } = start
  const { batchSize } = run.data
  const size = shareSize(batchSize, share)
  return rows(run, start).pipe(
    shard({ ...share, batchSize }),
    prefetch(run.data.prefetch * size),
    embed({ batchSize: size }),
    batch({ size })
  )
}

/**
 * The files that a run trains on, and where among their rows its documents come from.
 *
 * Documents are counted over all passes; the files come again and again, and every window of `shuffleWindow` documents is
 * shuffled by itself. So a document's number says in which pass, file, row group and row its window begins, and no row
 * before that has to be read again to go on there.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { createHash } from "node:crypto"
import { Parquet, type RunConfig } from "../io/index.ts"

/** The files of a run hold no row. */
export class NoDataError extends Schema.TaggedError<NoDataError>()("NoDataError", { pattern: Schema.String }) {
  override get message(): string {
    return `${this.pattern} has no rows to train on. Name parquet files that have some under data.train.`
  }
}

type Pattern = RunConfig.RunConfig["data"]["train"]

/** One parquet file, as its footer says. */
export interface TrainingFile {
  readonly path: string
  readonly rows: number
  readonly rowGroups: ReadonlyArray<Parquet.RowGroup>
}

/** Footers read at a time: enough to hide the latency of a remote store. */
const opened = 8

const eachFile = <A, E>(pattern: Pattern, look: (file: Parquet.ParquetFile) => Effect.Effect<A, E>) =>
  Effect.flatMap(Parquet.files(pattern), (paths) =>
    Effect.forEach(paths, (path) => Effect.scoped(Effect.flatMap(Parquet.open(path), look)), { concurrency: opened }))

/** The files that `pattern` names, in the order in which they are read. */
export const trainingFiles = (pattern: Pattern): Effect.Effect<ReadonlyArray<TrainingFile>, Parquet.ParquetError> =>
  eachFile(pattern, ({ path, rowGroups, rows }) => Effect.succeed({ path, rows, rowGroups }))

/** Rows of all files. */
export const countRows = (files: ReadonlyArray<TrainingFile>): number => files.reduce((sum, { rows }) => sum + rows, 0)

/** sha256 over size, head and footer of every file in order: another one where a row may be another. Names do not count. */
export const dataDigest = (pattern: Pattern): Effect.Effect<string, Parquet.ParquetError> =>
  Effect.map(eachFile(pattern, ({ contentKey }) => contentKey), (keys) => createHash("sha256").update(keys.join("\n")).digest("hex"))

/** Where a document comes from. */
export interface DataPosition extends Parquet.Position {
  /** Whole passes over the files before it, ≥ 0. */
  readonly pass: number
  /** Number of its shuffle window, which begins at `row` of `file`. */
  readonly window: number
  /** Documents of that window that come before it. */
  readonly passedOver: number
}

const rowAt = (files: ReadonlyArray<TrainingFile>, row: number): Parquet.Position => {
  let left = row
  const file = files.find(({ rows }) => {
    if (left < rows) return true
    left -= rows
    return false
  })!
  const group = file.rowGroups.findLast(({ firstRow, rows }) => firstRow <= left && rows > 0)!
  return { file: file.path, rowGroup: group.index, row: left }
}

/** Where document number `document` (from 0, over all passes) comes from. The files hold at least one row. */
export const positionOf = (files: ReadonlyArray<TrainingFile>, document: number, shuffleWindow: number): DataPosition => {
  const rows = countRows(files)
  const window = Math.floor(document / shuffleWindow)
  const first = window * shuffleWindow
  return { ...rowAt(files, first % rows), pass: Math.floor(first / rows), window, passedOver: document - first }
}

/**
 * One unit of work: a row group in, its part out, its line in the manifest.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Stream } from "effect"
import { join } from "node:path"
import { Parquet, type PartManifest } from "../../io/index.ts"
import { fromDiskError } from "../../io/ParquetError.ts"
import { Backend } from "../../model/Backend.ts"
import type { Problem, Tell, UnitReport } from "./events.ts"
import { InferenceError } from "./InferenceError.ts"
import type { Unit } from "./plan.ts"
import { writeQuarantine } from "./quarantine.ts"
import type { InferenceRequest } from "./request.ts"
import { rowKey } from "./rowKey.ts"
import type { KeyedText, Result, Work } from "./tasks.ts"

/** What all units of an inference share. */
export interface UnitContext {
  readonly request: InferenceRequest
  /** The folder that all input files share. */
  readonly base: string
  readonly work: Work
  /** Key-value pairs of every part. */
  readonly metadata: Readonly<Record<string, string>>
  readonly writer: PartManifest.Writer
  readonly tell: Tell
}

/** A row as it stands in its file. */
interface TextRow {
  readonly row: number
  /** undefined where there is none. */
  readonly text: string | undefined
}

/** An open unit: its rows, and what its part carries. */
interface Source {
  readonly rows: Stream.Stream<TextRow, Parquet.ParquetError>
  readonly carried?: Parquet.Carried
  /** The columns that the part is made from. */
  readonly used?: Parquet.Carried
}

const generated = ({ firstRow, rows }: Unit): Source =>
  ({ rows: Stream.map(Stream.range(firstRow, firstRow + rows - 1), (row) => ({ row, text: "" })) })

const rowsPerChunk = 256

const rowsOf = (values: Parquet.Values, firstRow: number): Stream.Stream<TextRow> =>
  Stream.fromIterable(Array.from({ length: Math.ceil(values.length / rowsPerChunk) }, (_, i) => i * rowsPerChunk), { chunkSize: 1 }).pipe(
    Stream.flatMap((from) =>
      Stream.fromIterable(Array.from(values.slice(from, from + rowsPerChunk), (value: unknown, i) => ({
        row: firstRow + from + i,
        text: typeof value === "string" ? value : undefined
      }))))
  )

/** The texts of a row group, with their rows; memory holds a few pages of them. */
const textRows = (file: Parquet.ParquetFile, group: Parquet.RowGroup, column: Parquet.ColumnInfo) =>
  file.readPieces(group, column).pipe(
    Stream.mapAccum(() => group.firstRow, (row: number, values) => [row + values.length, [{ row, values }]] as const),
    Stream.flatMap(({ row, values }) => rowsOf(values, row))
  )

const changed = (path: string, detail: string) =>
  new InferenceError({ reason: "changed", where: path, detail, remedy: "Put the file back as it was, or start over with --fresh" })

/** A part carries whole columns: of a field in a struct, the struct. */
const topLevel = ({ path }: Parquet.ColumnInfo): string => path[0]!

/** The columns that a part carries: those asked for, else all. */
export const carriedColumns = ({ columns }: InferenceRequest, file: Pick<Parquet.ParquetFile, "columns" | "path" | "tree">) =>
  columns === undefined
    ? Effect.succeed(file.columns.map(({ name }) => name))
    : Effect.forEach(columns, (name) => Effect.map(Parquet.requireColumn(file, name), topLevel))

/** The columns that a unit's part is made from: those it carries, and the one that is read. */
export const usedColumns = Effect.fnUntraced(function*({ base, request }: Pick<UnitContext, "base" | "request">, unit: Unit) {
  const path = join(base, unit.input)
  const file = yield* Parquet.open(path)
  if ((yield* file.contentKey) !== unit.contentKey) return yield* changed(path, "the file has changed since the inference began")
  const read = request.column === undefined ? [] : [topLevel(yield* Parquet.requireColumn(file, request.column))]
  const columns = new Set([...read, ...yield* carriedColumns(request, file)])
  return { file, group: file.rowGroups[unit.rowGroup]!, columns: [...columns] } satisfies Parquet.Carried
})

const openSource = Effect.fnUntraced(function*(context: UnitContext, unit: Unit) {
  if (unit.input === "") return generated(unit)
  const used = yield* usedColumns(context, unit)
  const { file, group } = used
  const column = yield* Effect.flatMap(Parquet.requireColumn(file, context.request.column ?? ""), (found) => Parquet.requireText(file, found))
  return {
    rows: textRows(file, group, column),
    carried: { file, group, columns: yield* carriedColumns(context.request, file) },
    used
  } satisfies Source
})

/** Running sums of a unit. */
interface Tally {
  tokens: number
  promptTokens: number
  promptPositions: number
  readonly problems: Array<Problem>
}

const sum = (results: ReadonlyArray<Result>, part: (result: Result) => number): number =>
  results.reduce((total, result) => total + part(result), 0)

const passOver = ({ base, request, tell }: UnitContext, unit: Unit, tally: Tally, { row }: TextRow) => {
  const error = new Parquet.ParquetError({
    file: join(base, unit.input),
    reason: "nullValue",
    rowGroup: unit.rowGroup,
    row,
    column: request.column ?? "",
    detail: "the value is null",
    remedy: "fill it in, or pass over such rows with --on-error skip"
  })
  if ((request.onError ?? "fail") === "fail") return Effect.fail(error)
  const problem = { input: unit.input, rowGroup: unit.rowGroup, row, error: error.detail }
  tally.problems.push(problem)
  return tell({ type: "problem", part: unit.part, ...problem })
}

/** Works on one window and puts its results where their rows were. */
const runWindow = (context: UnitContext, unit: Unit, tally: Tally) =>
  Effect.fnUntraced(function*(rows: ReadonlyArray<TextRow>) {
    const { tell, work } = context
    const texts: Array<KeyedText> = []
    for (const row of rows) {
      if (row.text === undefined) yield* passOver(context, unit, tally, row)
      else texts.push({ text: row.text, key: rowKey(unit.contentKey, row.row, row.text) })
    }
    const seen = (results: ReadonlyArray<Result>) =>
      tell({
        type: "rows",
        part: unit.part,
        rows: results.length,
        tokens: sum(results, ({ tokens }) => tokens),
        promptTokens: sum(results, ({ promptTokens }) => promptTokens),
        promptPositions: sum(results, ({ promptPositions }) => promptPositions)
      })
    const results = texts.length === 0 ? [] : yield* work.run(texts, seen)
    tally.tokens += sum(results, ({ tokens }) => tokens)
    tally.promptTokens += sum(results, ({ promptTokens }) => promptTokens)
    tally.promptPositions += sum(results, ({ promptPositions }) => promptPositions)
    let next = 0
    return rows.map(({ text }) => text === undefined ? work.blank : results[next++]!.columns)
  })

const partMetadata = ({ metadata }: UnitContext, unit: Unit): Readonly<Record<string, string>> => ({
  ...metadata,
  ...(unit.input === "" ? {} : { "elf-streams.input": unit.input, "elf-streams.inputKey": unit.contentKey }),
  "elf-streams.rowGroup": String(unit.rowGroup),
  "elf-streams.firstRow": String(unit.firstRow)
})

const answerUnit = Effect.fnUntraced(function*(context: UnitContext, unit: Unit) {
  const { base, request, work } = context
  const started = yield* Clock.currentTimeMillis
  const { engine } = yield* Backend
  const source: Source = yield* openSource(context, unit)
  const tally: Tally = { tokens: 0, promptTokens: 0, promptPositions: 0, problems: [] }
  const windows = source.rows.pipe(Stream.grouped(work.window), Stream.mapEffect(runWindow(context, unit, tally)))
  const part = yield* Parquet.writePart(join(request.output, unit.part), windows, {
    ...(source.carried === undefined ? {} : { carried: source.carried }),
    schema: work.schema,
    metadata: partMetadata(context, unit),
    ...(request.codec === undefined ? {} : { codec: request.codec })
  })
  yield* Effect.mapError(
    writeQuarantine(request.output, unit.part, request.onError === "quarantine" ? tally.problems : []),
    fromDiskError(part.path)
  )
  const { problems, ...tokens } = tally
  return {
    ...tokens,
    part: unit.part,
    input: unit.input,
    rowGroup: unit.rowGroup,
    rows: part.rows,
    failedRows: problems.length,
    bytes: part.bytes,
    sha256: part.sha256,
    inputSha256: source.used === undefined ? "" : yield* Parquet.digestColumns(source.used),
    inputModified: source.used === undefined ? 0 : yield* Parquet.modified(join(base, unit.input)),
    seconds: ((yield* Clock.currentTimeMillis) - started) / 1000,
    engine
  } satisfies UnitReport
})

/** A row group that cannot be decoded: nothing that trying again or mending the machine would change. */
const isDamage = ({ reason }: Parquet.ParquetError): boolean =>
  ["notParquet", "truncated", "corrupt", "unsupported", "emptyFile", "wrongType", "missingColumn"].includes(reason)

const passOverUnit = Effect.fnUntraced(function*({ request, tell }: UnitContext, unit: Unit, error: Parquet.ParquetError) {
  const problem = { input: unit.input, rowGroup: unit.rowGroup, error: error.message }
  yield* tell({ type: "problem", part: unit.part, ...problem })
  if (request.onError === "quarantine") {
    yield* Effect.mapError(writeQuarantine(request.output, unit.part, [problem]), fromDiskError(error.file))
  }
  const { engine } = yield* Backend
  return {
    part: unit.part,
    input: unit.input,
    rowGroup: unit.rowGroup,
    rows: unit.rows,
    failedRows: unit.rows,
    tokens: 0,
    promptTokens: 0,
    promptPositions: 0,
    bytes: 0,
    sha256: "",
    inputSha256: "",
    inputModified: 0,
    seconds: 0,
    engine,
    problem: error.message
  } satisfies UnitReport
})

/**
 * Does a unit: reads its row group, works on its rows, writes its part and then its line in the manifest. It may be done
 * again, here or elsewhere: the part comes out the same.
 */
export const runUnit = Effect.fnUntraced(function*(context: UnitContext, unit: Unit) {
  const { request, tell, writer } = context
  yield* tell({ type: "unitStarted", part: unit.part, rows: unit.rows })
  const report: UnitReport = yield* Effect.scoped(answerUnit(context, unit)).pipe(
    Effect.catchTag("ParquetError", (error) =>
      (request.onError ?? "fail") !== "fail" && isDamage(error) ? passOverUnit(context, unit, error) : Effect.fail(error))
  )
  yield* Effect.mapError(writer.append(report), fromDiskError(join(request.output, unit.part)))
  yield* Effect.annotateCurrentSpan({
    "elf.tokens": report.tokens,
    "elf.failedRows": report.failedRows,
    "elf.promptTokens": report.promptTokens,
    "elf.promptPositions": report.promptPositions,
    "elf.engine": report.engine
  })
  yield* tell({ type: "unitFinished", report })
  return report
}, (effect, _, unit) => Effect.withSpan(effect, "inference.unit", {
  attributes: { "elf.part": unit.part, "elf.input": unit.input, "elf.rowGroup": unit.rowGroup, "elf.rows": unit.rows }
}))

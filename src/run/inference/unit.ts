/**
 * One unit of work: a row group in, its part out, its line in the manifest.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Stream } from "effect"
import { createHash } from "node:crypto"
import { join } from "node:path"
import { Parquet, type PartManifest } from "../../io/index.ts"
import { fromDiskError } from "../../io/ParquetError.ts"
import { Backend } from "../../model/Backend.ts"
import { Encoder } from "../../model/Encoder.ts"
import type { Problem, Tell, UnitReport } from "./events.ts"
import { InferenceError } from "./InferenceError.ts"
import { type InputRow, inputRows, requireInput } from "./inputRows.ts"
import type { Unit } from "./plan.ts"
import { writeQuarantine } from "./quarantine.ts"
import type { InferenceRequest } from "./request.ts"
import { rowKey } from "./rowKey.ts"
import type { KeyedInput, Result, Work } from "./tasks.ts"

/** What all units of an inference share. */
export interface UnitContext {
  readonly request: InferenceRequest
  /** Where the input files are, by name. */
  readonly addresses: ReadonlyMap<string, string>
  readonly work: Work
  /** Key-value pairs of every part. */
  readonly metadata: Readonly<Record<string, string>>
  readonly writer: PartManifest.Writer
  readonly tell: Tell
}

/** An open unit: its rows, and what its part carries. */
interface Source {
  readonly rows: Stream.Stream<InputRow, Parquet.ParquetError>
  readonly carried?: Parquet.Carried
  /** The columns that the part is made from. */
  readonly used?: Parquet.Carried
}

const generated = ({ firstRow, rows }: Unit): Source =>
  ({ rows: Stream.map(Stream.range(firstRow, firstRow + rows - 1), (row) => ({ row, input: "" })) })

const changed = (path: string, detail: string) =>
  new InferenceError({ reason: "changed", where: path, detail, remedy: "Put the file back as it was, or start over with --fresh" })

/** A part carries whole columns: of a field in a struct, the struct. */
const topLevel = ({ path }: Parquet.ColumnInfo): string => path[0]!

/** The columns that a part carries: those asked for, else all. */
export const carriedColumns = ({ columns }: InferenceRequest, file: Pick<Parquet.ParquetFile, "columns" | "path" | "tree">) =>
  columns === undefined
    ? Effect.succeed(file.columns.map(({ name }) => name))
    : Effect.forEach(columns, (name) => Effect.map(Parquet.requireColumn(file, name), topLevel))

/** Where an input file is on this machine. */
export const addressOf = ({ addresses }: Pick<UnitContext, "addresses">, name: string): string => addresses.get(name) ?? name

/** The columns that a unit's part is made from: those it carries, and those that are read. */
export const usedColumns = Effect.fnUntraced(function*(context: Pick<UnitContext, "addresses" | "request">, unit: Unit) {
  const { request } = context
  const path = addressOf(context, unit.input)
  const file = yield* Parquet.open(path)
  if ((yield* file.contentKey) !== unit.contentKey) return yield* changed(path, "the file has changed since the inference began")
  const read = (yield* requireInput(request, file)).map(topLevel)
  const columns = new Set([...read, ...yield* carriedColumns(request, file)])
  return { file, group: file.rowGroups[unit.rowGroup]!, columns: [...columns] } satisfies Parquet.Carried
})

/** One digest of the digests of columns. */
export const digestOf = (columns: ReadonlyMap<string, string>): string =>
  createHash("sha256").update(JSON.stringify([...columns])).digest("hex")

const openSource = Effect.fnUntraced(function*(context: UnitContext, unit: Unit) {
  if (unit.input === "") return generated(unit)
  const used = yield* usedColumns(context, unit)
  const { file, group } = used
  const { vocabulary } = yield* Encoder
  return {
    rows: inputRows(file, group, yield* requireInput(context.request, file), vocabulary),
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

const passOver = (context: UnitContext, unit: Unit, tally: Tally, { problem: why, row }: InputRow) => {
  const { request, tell } = context
  const { column, detail, reason } = why!
  const remedy = "mend it, or pass over such rows with --on-error skip"
  if ((request.onError ?? "fail") === "fail") {
    return Effect.fail(new Parquet.ParquetError({ file: addressOf(context, unit.input), reason, rowGroup: unit.rowGroup, row, column, detail, remedy }))
  }
  const problem = { input: unit.input, rowGroup: unit.rowGroup, row, error: detail }
  tally.problems.push(problem)
  return tell({ type: "problem", part: unit.part, ...problem })
}

/** Works on one window and puts its results where their rows were. */
const runWindow = (context: UnitContext, unit: Unit, tally: Tally) =>
  Effect.fnUntraced(function*(rows: ReadonlyArray<InputRow>) {
    const { tell, work } = context
    const inputs: Array<KeyedInput> = []
    for (const row of rows) {
      if (row.input === undefined) yield* passOver(context, unit, tally, row)
      else inputs.push({ input: row.input, key: rowKey(unit.contentKey, row.row, row.input) })
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
    const results = inputs.length === 0 ? [] : yield* work.run(inputs, seen)
    tally.tokens += sum(results, ({ tokens }) => tokens)
    tally.promptTokens += sum(results, ({ promptTokens }) => promptTokens)
    tally.promptPositions += sum(results, ({ promptPositions }) => promptPositions)
    let next = 0
    return rows.map(({ input }) => input === undefined ? work.blank : results[next++]!.columns)
  })

const partMetadata = ({ metadata }: UnitContext, unit: Unit): Readonly<Record<string, string>> => ({
  ...metadata,
  ...(unit.input === "" ? {} : { "elf-streams.input": unit.input, "elf-streams.inputKey": unit.contentKey }),
  "elf-streams.rowGroup": String(unit.rowGroup),
  "elf-streams.firstRow": String(unit.firstRow)
})

const answerUnit = Effect.fnUntraced(function*(context: UnitContext, unit: Unit) {
  const { request, work } = context
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
    inputSha256: source.used === undefined ? "" : digestOf(yield* Parquet.digestColumns(source.used, part.columns)),
    inputVersion: source.used?.file.version ?? "",
    seconds: ((yield* Clock.currentTimeMillis) - started) / 1000,
    engine
  } satisfies UnitReport
})

/** A row group that cannot be decoded: nothing that trying again or mending the machine would change. */
const isDamage = ({ reason }: Parquet.ParquetError): boolean =>
  ["notParquet", "truncated", "corrupt", "checksum", "unsupported", "emptyFile", "wrongType", "missingColumn"].includes(reason)

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
    inputVersion: "",
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

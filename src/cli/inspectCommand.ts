/**
 * `elf inspect`: what parquet files hold, and whether a column of them can be read to its end.
 */
import { Clock, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { basename } from "node:path"
import { Parquet } from "../io/index.ts"
import { json } from "./options.ts"
import { print } from "./print.ts"
import { duration, rateSince, readable, report } from "./progress.ts"

/** What is said about one file. */
interface Inspected {
  readonly file: string
  readonly bytes: number
  readonly rows: number
  readonly writer: string | undefined
  readonly codecs: ReadonlyArray<string>
  readonly schema: ReadonlyArray<{ readonly name: string; readonly type: string; readonly nullable: boolean }>
  readonly rowGroups: ReadonlyArray<{ readonly rows: number; readonly columns: ReadonlyArray<Parquet.ChunkInfo> }>
  readonly column?: Parquet.ColumnDigest
}

/** Says every two seconds how far a long column is read. */
const watcher = (file: Parquet.ParquetFile) =>
  Effect.map(Clock.currentTimeMillis, (started) => {
    const rate = rateSince(started, 0, file.rows)
    let shown = started
    return (rows: number) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (now - shown < 2000) return Effect.void
        shown = now
        const { perSecond, secondsLeft } = rate(now, rows)
        return report(`${basename(file.path)}  row ${rows}/${file.rows}  ${readable(perSecond)} rows/s  ETA ${duration(secondsLeft)}`)
      })
  })

const inspectFile = (path: string, column: Option.Option<string>): Effect.Effect<Inspected, Parquet.ParquetError> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* Parquet.open(path)
    const rowGroups = file.rowGroups.map((group) => ({ rows: group.rows, columns: file.chunks(group) }))
    const digest = Option.isNone(column) ? {} : { column: yield* Parquet.digestColumn(file, column.value, yield* watcher(file)) }
    return {
      file: path,
      bytes: file.bytes,
      rows: file.rows,
      writer: file.metadata.created_by,
      codecs: [...new Set(rowGroups.flatMap(({ columns }) => columns.map(({ codec }) => codec)))],
      schema: file.columns.map(({ name, nullable, type }) => ({ name, type, nullable })),
      rowGroups,
      ...digest
    }
  }))

const plural = (count: number, word: string) => `${readable(count)} ${word}${count === 1 ? "" : "s"}`

const lines = ({ bytes, codecs, column, file, rowGroups, rows, schema, writer }: Inspected): ReadonlyArray<string> => [
  `${file}: ${plural(rows, "row")} in ${plural(rowGroups.length, "row group")}, ${readable(bytes)} bytes, ${codecs.join(", ").toLowerCase() || "no data"}${writer === undefined ? "" : `, written by ${writer}`}`,
  ...schema.map(({ name, nullable, type }) => `  ${name}: ${type}${nullable ? "" : ", never null"}`),
  ...(column === undefined ? [] : [`  ${readable(column.rows)} values, ${readable(column.nulls)} of them null, ${readable(column.characters)} characters or elements, sha256 ${column.sha256}`])
]

const inspectFiles = Effect.fnUntraced(function*(pattern: string, column: Option.Option<string>, asJson: boolean) {
  let failure: Parquet.ParquetError | undefined
  for (const path of yield* Parquet.files(pattern)) {
    const found = yield* Effect.result(inspectFile(path, column))
    if (found._tag === "Success") {
      yield* Effect.forEach(asJson ? [JSON.stringify(found.success)] : lines(found.success), print, { discard: true })
      continue
    }
    // The last failure ends the command and is told there; those before it are told here.
    if (failure !== undefined) yield* asJson ? print(JSON.stringify({ error: { ...failure, message: failure.message } })) : report(`error: ${failure.message}`)
    failure = found.failure
  }
  if (failure !== undefined) return yield* failure
})

/** The command. */
export const inspectCommand = Command.make("inspect", {
  pattern: Argument.String("files").pipe(Argument.withDescription("Parquet file, folder, pattern, http(s) URL or s3:// pattern")),
  column: Flag.String("column").pipe(Flag.withDescription("Column (a dotted path for a field of a struct) to read to its end"), Flag.optional),
  json: json.pipe(Flag.withDescription("Print a JSON object for each file, one a line"))
}, ({ column, json, pattern }) => inspectFiles(pattern, column, json)).pipe(
  Command.withDescription("Show schema, row groups and codecs of parquet files; read a column to its end")
)

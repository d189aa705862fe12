/**
 * The texts that an evaluation reads: pairs of input and output, documents of a corpus.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { createHash } from "node:crypto"
import { stat } from "node:fs/promises"
import { attempt, type DiskError } from "../../io/Disk.ts"
import { Parquet, TextLines } from "../../io/index.ts"
import * as JsonLines from "../../io/JsonLines.ts"
import { EvaluationError } from "./EvaluationError.ts"

/** Why texts cannot be read. */
export type ReadTextsError = DiskError | EvaluationError | JsonLines.JsonLinesError | Parquet.ParquetError | TextLines.TextLinesError

/** An input and what it should become. */
export interface TextPair {
  readonly input: string
  readonly output: string
}

/** Where pairs lie. */
export interface PairsPlace {
  /** A `.jsonl` file, or parquet: a file, a folder or a pattern. */
  readonly path: string
  readonly inputColumn: string
  readonly outputColumn: string
}

/** Where documents lie. */
export interface CorpusPlace {
  /** A `.jsonl` file, a `.txt` file of one document a line, or parquet: a file, a folder or a pattern. */
  readonly path: string
  /** Key or column of the texts. */
  readonly column: string
}

const isJsonLines = (path: string): boolean => /\.(jsonl|ndjson)$/i.test(path)
const isText = (path: string): boolean => /\.txt$/i.test(path)

const textIn = (file: string, line: number, object: JsonLines.JsonObject, key: string): Effect.Effect<string, EvaluationError> => {
  const value = object[key]
  if (typeof value === "string") return Effect.succeed(value)
  const keys = Object.keys(object).join(", ")
  return Effect.fail(new EvaluationError({ reason: "data", where: file, line, detail: `its key "${key}" is no text (its keys are ${keys})`, remedy: "name the key of the texts, or mend the line" }))
}

const jsonTexts = (file: string, key: string): Effect.Effect<ReadonlyArray<string>, ReadTextsError> =>
  Effect.flatMap(JsonLines.read(file), (objects) => Effect.forEach(objects, (object, index) => textIn(file, index + 1, object, key)))

/** The first `count` pairs; at least one. */
export const readPairs = ({ inputColumn, outputColumn, path }: PairsPlace, count: number): Effect.Effect<ReadonlyArray<TextPair>, ReadTextsError> =>
  Effect.gen(function*() {
    const pairs: ReadonlyArray<TextPair> = isJsonLines(path)
      ? yield* Effect.forEach((yield* JsonLines.read(path)).slice(0, count), (object, index) =>
        Effect.all({ input: textIn(path, index + 1, object, inputColumn), output: textIn(path, index + 1, object, outputColumn) }))
      : yield* Parquet.readPairs(path, { condition: inputColumn, target: outputColumn }).pipe(
        Stream.take(count),
        Stream.map(({ condition, target }) => ({ input: condition, output: target })),
        Stream.runCollect
      )
    if (pairs.length > 0) return pairs
    return yield* new EvaluationError({ reason: "data", where: path, detail: "it has no row", remedy: "give a file of pairs" })
  })

/** The documents of a corpus, in order. */
export const documents = ({ column, path }: CorpusPlace): Stream.Stream<string, ReadTextsError> => {
  if (isJsonLines(path)) return Stream.unwrap(Effect.map(jsonTexts(path, column), (texts) => Stream.fromIterable(texts)))
  if (isText(path)) return Stream.unwrap(Effect.map(TextLines.read(path), (texts) => Stream.fromIterable(texts)))
  return Parquet.read(path, { column })
}

const isRemote = (path: string): boolean => /^(https?|s3):\/\//.test(path)

const fileIdentity = (path: string): Effect.Effect<string, DiskError> =>
  isRemote(path) ? Effect.succeed(path) : Effect.map(attempt("look at", path, () => stat(path)), ({ mtimeMs, size }) => `${path}, ${size} bytes of ${mtimeMs}`)

/** Tells a corpus from another, and from itself after a change, without reading it. */
export const corpusIdentity = ({ column, path }: CorpusPlace): Effect.Effect<string, DiskError | Parquet.ParquetError> =>
  Effect.gen(function*() {
    const files = isJsonLines(path) || isText(path) ? [path] : yield* Parquet.files(path)
    return digest([column, ...(yield* Effect.forEach(files, fileIdentity))])
  })

/** sha256 of what decides something, hexadecimal. */
export const digest = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("hex")

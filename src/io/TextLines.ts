/**
 * Text files of one text a line, in UTF-8.
 *
 * Only a line feed ends a line, so a text may hold the other characters that editors break lines at (U+2028, form feed);
 * a carriage return before it belongs to the line's end. Nothing else is changed: a byte order mark stays.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { attempt } from "./Disk.ts"
import { placeOf, sentence } from "./sentence.ts"

/** A file of texts cannot be read, or does not fit the one beside it. */
export class TextLinesError extends Schema.TaggedError<TextLinesError>()("TextLinesError", {
  file: Schema.String,
  /** From 1. */
  line: Schema.optionalKey(Schema.Int),
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return sentence(placeOf(this.file, [this.line === undefined ? undefined : `line ${this.line}`]), this.detail, this.remedy)
  }
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

/** The lines of `bytes`; the last one is empty where they end with a line feed. */
const rawLines = (bytes: Buffer): ReadonlyArray<Buffer> => {
  const lines: Array<Buffer> = []
  let begin = 0
  for (let end = bytes.indexOf(lineFeed); end !== -1; end = bytes.indexOf(lineFeed, begin)) {
    lines.push(bytes.subarray(begin, end > begin && bytes[end - 1] === carriageReturn ? end - 1 : end))
    begin = end + 1
  }
  return [...lines, bytes.subarray(begin)]
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const decodeLine = (file: string, line: Buffer, index: number): Effect.Effect<string, TextLinesError> =>
  Effect.try({
    try: () => decoder.decode(line),
    catch: () => new TextLinesError({ file, line: index + 1, detail: "it is no UTF-8", remedy: "convert the file to UTF-8" })
  })

/** Every line, the part behind the last line feed included. */
const readRaw = (file: string): Effect.Effect<ReadonlyArray<string>, TextLinesError> =>
  attempt("read", file, () => readFile(file)).pipe(
    Effect.mapError(({ code, remedy }) => new TextLinesError({ file, detail: `it cannot be read (${code})`, remedy })),
    Effect.flatMap((bytes) => Effect.forEach(rawLines(bytes), (line, index) => decodeLine(file, line, index)))
  )

const withoutEnd = (lines: ReadonlyArray<string>): ReadonlyArray<string> => lines.at(-1) === "" ? lines.slice(0, -1) : lines

/** The lines of a file, whether or not a line feed ends the last one. */
export const read = (file: string): Effect.Effect<ReadonlyArray<string>, TextLinesError> => Effect.map(readRaw(file), withoutEnd)

/** The lines of two files, of which each belongs to one of the other. */
export interface LinePairs {
  readonly first: ReadonlyArray<string>
  readonly second: ReadonlyArray<string>
}

/**
 * Reads two files of as many lines each, at least one.
 *
 * **Details** Where just one file ends with a line feed, that may stand for a last text that is empty: it is taken so if
 * the numbers of lines agree only then.
 */
export const readPairs = (firstFile: string, secondFile: string): Effect.Effect<LinePairs, TextLinesError> =>
  Effect.gen(function*() {
    const [first, second] = [yield* readRaw(firstFile), yield* readRaw(secondFile)]
    const mixed = (first.at(-1) === "") !== (second.at(-1) === "")
    const pairs = mixed && first.length === second.length ? { first, second } : { first: withoutEnd(first), second: withoutEnd(second) }
    if (pairs.first.length !== pairs.second.length) {
      const detail = `it has ${pairs.first.length} lines, ${secondFile} has ${pairs.second.length}`
      return yield* new TextLinesError({ file: firstFile, detail, remedy: "give files of as many lines, each the counterpart of one of the other" })
    }
    if (pairs.first.length === 0) return yield* new TextLinesError({ file: firstFile, detail: "it has no line", remedy: "give files of at least one line" })
    return pairs
  })

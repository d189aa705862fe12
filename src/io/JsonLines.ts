/**
 * Files of one JSON object a line that grow line by line and survive a kill.
 *
 * @since 0.1.0
 */
import { Effect, Schema, type Scope } from "effect"
import * as fs from "node:fs/promises"
import { dirname } from "node:path"
import { attempt, type DiskError } from "./Disk.ts"
import { placeOf, sentence } from "./sentence.ts"
import { makeFolder } from "./atomicFile.ts"

/** A line is no JSON object. */
export class JsonLinesError extends Schema.TaggedError<JsonLinesError>()("JsonLinesError", {
  file: Schema.String,
  /** From 1. */
  line: Schema.Int,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return sentence(placeOf(this.file, [`line ${this.line}`]), this.detail, this.remedy)
  }
}

/** One line. */
export type JsonObject = Readonly<Record<string, unknown>>

const parse = (line: string): JsonObject | undefined => {
  try {
    const value = JSON.parse(line) as unknown
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value as JsonObject : undefined
  } catch {
    return undefined
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT"

const bytesOf = (file: string): Effect.Effect<Buffer, DiskError> =>
  attempt("read", file, () => fs.readFile(file).catch((error: unknown) => {
    if (isMissing(error)) return Buffer.alloc(0)
    throw error
  }))

/** The objects of a file, in order. An empty line holds none; the last one may lack its line feed. */
export const read = (file: string): Effect.Effect<ReadonlyArray<JsonObject>, DiskError | JsonLinesError> =>
  Effect.gen(function*() {
    const text = yield* attempt("read", file, () => fs.readFile(file, "utf8"))
    const objects: Array<JsonObject> = []
    for (const [index, line] of text.split("\n").entries()) {
      if (line.trim() === "") continue
      const value = parse(line)
      if (value === undefined) return yield* new JsonLinesError({ file, line: index + 1, detail: "it is no JSON object", remedy: "give one object a line, such as {\"input\": \"…\", \"output\": \"…\"}" })
      objects.push(value)
    }
    return objects
  })

/** A file that grows. */
export interface GrowingFile {
  /** What it held when it was opened. */
  readonly objects: ReadonlyArray<JsonObject>
  /** Adds lines at its end; they are handed to the system when this succeeds. */
  readonly append: (objects: ReadonlyArray<JsonObject>) => Effect.Effect<void, DiskError>
}

/** Lines up to the first that is torn or no object: a kill leaves those at the very end only. */
const wholeLines = (bytes: Buffer) => {
  const objects: Array<JsonObject> = []
  let kept = 0
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, kept)) {
    const value = parse(bytes.toString("utf8", kept, end))
    if (value === undefined) break
    objects.push(value)
    kept = end + 1
  }
  return { objects, kept }
}

/** The whole lines of a file that grows, as {@link open} would keep them; none where there is no file. */
export const peek = (file: string): Effect.Effect<ReadonlyArray<JsonObject>, DiskError> => Effect.map(bytesOf(file), (bytes) => wholeLines(bytes).objects)

/**
 * Opens a file to go on with it, or makes it; synced and closed with the scope. What follows the last whole line is cut
 * off.
 */
export const open = (file: string): Effect.Effect<GrowingFile, DiskError, Scope.Scope> =>
  Effect.gen(function*() {
    yield* makeFolder(dirname(file))
    const { kept, objects } = wholeLines(yield* bytesOf(file))
    const handle = yield* Effect.acquireRelease(
      attempt("open", file, () => fs.open(file, "a+")),
      (handle) => Effect.promise(() => handle.sync().catch(() => undefined).then(() => handle.close()))
    )
    yield* attempt("cut", file, () => handle.truncate(kept))
    const append = (more: ReadonlyArray<JsonObject>) =>
      attempt("write to", file, () => handle.appendFile(more.map((each) => `${JSON.stringify(each)}\n`).join("")))
    return { objects, append }
  })

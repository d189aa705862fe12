/**
 * Which parts of a folder are finished: one JSON object a line, in one file for each process that writes.
 *
 * A line is appended and synced after its part is in place, so every line names a whole part. Each writer has a file of
 * its own; a line torn by a kill is passed over, and the next one begins on a line of its own. All files together are the
 * manifest.
 *
 * @since 0.1.0
 */
import { Effect, Option, Schema, type Scope } from "effect"
import * as fs from "node:fs/promises"
import { dirname, join } from "node:path"
import { attempt, type DiskError } from "./Disk.ts"

/** Far above any part, and low enough that sums of them stay whole numbers. */
const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 40 }))
const Sha256 = Schema.String.check(Schema.isPattern(/^([0-9a-f]{64})?$/))

/** What is known of a finished part, or of a unit that was passed over. */
export const PartRecord = Schema.Struct({
  /** Path below the output folder; names the part. */
  part: Schema.String,
  /** Input file, below the folder that all input files share; empty where there is no input. */
  input: Schema.String,
  rowGroup: Count,
  rows: Count,
  /** Rows without a result, their reason is in the quarantine file. */
  failedRows: Count,
  /** Tokens of all results. */
  tokens: Count,
  /** Condition tokens that the encoder saw, and the positions it was given for them. */
  promptTokens: Count,
  promptPositions: Count,
  bytes: Count,
  /** Of the part; empty where there is none. */
  sha256: Sha256,
  /** Of the input columns that it was made from; empty where there is no input. */
  inputSha256: Schema.String,
  /** What told that version of the input file from others; empty where there is none, or nothing does. */
  inputVersion: Schema.String,
  seconds: Schema.Finite,
  /** The tensor engine. */
  engine: Schema.String,
  /** Why the row group was passed over: there is no part. */
  problem: Schema.optionalKey(Schema.String)
})

/** What is known of a finished part, or of a unit that was passed over. */
export type PartRecord = typeof PartRecord.Type

const extension = ".jsonl"

const decodeLine = (line: string): PartRecord | undefined => {
  try {
    return Option.getOrUndefined(Schema.decodeUnknownOption(PartRecord)(JSON.parse(line)))
  } catch {
    return undefined
  }
}

const recordsIn = (text: string): ReadonlyArray<PartRecord> =>
  text.split("\n").map(decodeLine).filter((record) => record !== undefined)

/** Everything that one writer wrote. */
export interface WriterRecords {
  readonly name: string
  readonly records: ReadonlyArray<PartRecord>
}

/** The records of each writer, by name; none where there is no folder. */
export const readWriters = (folder: string): Effect.Effect<ReadonlyArray<WriterRecords>, DiskError> =>
  Effect.gen(function*() {
    if ((yield* attempt("look at", folder, (disk) => disk.kind(folder))) !== "folder") return []
    const files = (yield* attempt("list", folder, (disk) => disk.list(folder))).map(({ name }) => name).filter((name) => name.endsWith(extension))
    return yield* Effect.forEach(files.sort(), (name) =>
      Effect.map(
        attempt("read", join(folder, name), () => fs.readFile(join(folder, name), "utf8")),
        (text) => ({ name: name.slice(0, -extension.length), records: recordsIn(text) })
      ))
  })

/** The record of each part, by its name: a part that one writer finished is finished, whatever another one met with. */
export const read = (folder: string): Effect.Effect<ReadonlyMap<string, PartRecord>, DiskError> =>
  Effect.map(readWriters(folder), (writers) => {
    const found = new Map<string, PartRecord>()
    for (const record of writers.flatMap(({ records }) => records)) {
      const known = found.get(record.part)
      if (known === undefined || known.problem !== undefined || record.problem === undefined) found.set(record.part, record)
    }
    return found
  })

/** A writer's own file. */
export interface Writer {
  /** Resolves when the record is on the disk. */
  readonly append: (record: PartRecord) => Effect.Effect<void, DiskError>
}

/** Whether the file ends in the middle of a line. */
const isTorn = async (handle: fs.FileHandle): Promise<boolean> => {
  const { size } = await handle.stat()
  if (size === 0) return false
  const last = new Uint8Array(1)
  await handle.read(last, 0, 1, size - 1)
  return last[0] !== 10
}

const openToAppend = async (path: string): Promise<fs.FileHandle> => {
  const handle = await fs.open(path, "a+")
  try {
    if (await isTorn(handle)) await handle.appendFile("\n")
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Opens the file of `writer` (a plain name) in `folder`; it is closed with the scope. */
export const open = (folder: string, writer: string): Effect.Effect<Writer, DiskError, Scope.Scope> =>
  Effect.gen(function*() {
    const path = join(folder, `${writer}${extension}`)
    yield* attempt("make the folder", dirname(path), (disk) => disk.makeFolder(dirname(path)))
    const handle = yield* Effect.acquireRelease(
      attempt("open", path, () => openToAppend(path)),
      (handle) => Effect.promise(() => handle.close().catch(() => undefined))
    )
    yield* attempt("sync the folder of", path, (disk) => disk.syncFolder(folder))
    return {
      append: (record) =>
        attempt("write to", path, async () => {
          await handle.appendFile(`${JSON.stringify(record)}\n`)
          await handle.datasync()
        })
    }
  })

/**
 * The files of an inference by what they hold, not by where they lie.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { resolve, sep } from "node:path"
import { Parquet } from "../../io/index.ts"
import { InferenceError } from "./InferenceError.ts"

/** One readable input file. */
export interface InputFile {
  /** Path below the folder that all input files share, with `/`: the same on every machine. */
  readonly name: string
  /** `ParquetFile.contentKey`. */
  readonly contentKey: string
  /** Rows of each row group. */
  readonly rowGroups: ReadonlyArray<number>
}

/** A file that cannot be read, and why. */
export interface UnreadableFile {
  readonly name: string
  readonly problem: string
}

/** The files of an inference. */
export interface Inputs {
  /** Path on this machine, or URL, by name. */
  readonly addresses: ReadonlyMap<string, string>
  readonly files: ReadonlyArray<InputFile>
  readonly unreadable: ReadonlyArray<UnreadableFile>
}

const isUrl = (path: string): boolean => /^(https?|s3):\/\//i.test(path)

/** The folders and the name that an address consists of; a URL without its query, which may be a signature of today. */
const segmentsOf = (address: string): ReadonlyArray<string> =>
  isUrl(address) ? (/^http/i.test(address) ? address.replace(/[?#].*$/s, "") : address).split("/") : resolve(address).split(sep)

/** How many segments all addresses begin with, names left out. */
const sharedFolders = (all: ReadonlyArray<ReadonlyArray<string>>): number => {
  const [first = []] = all
  const end = first.findIndex((segment, i) => all.some((segments) => i >= segments.length - 1 || segments[i] !== segment))
  return Math.max(0, end)
}

const refuse = (where: string, detail: string, remedy: string) => new InferenceError({ reason: "input", where, detail, remedy })

/** What no part could be named after. */
const isOddName = (segments: ReadonlyArray<string>): boolean => segments.length === 0 || segments.some((segment) => ["", ".", ".."].includes(segment))

/** Names for addresses, which name their parts: what is behind the folders that all share. */
export const nameInputs = (addresses: ReadonlyArray<string>): Effect.Effect<ReadonlyMap<string, string>, InferenceError> =>
  Effect.gen(function*() {
    if (addresses.some(isUrl) && !addresses.every(isUrl)) {
      return yield* refuse(addresses.find(isUrl)!, "some input files are on disk, others are not", "Run an inference for each place")
    }
    const all = addresses.map(segmentsOf)
    const shared = sharedFolders(all)
    const names = new Map<string, string>()
    for (const [i, address] of addresses.entries()) {
      const own = all[i]!.slice(shared)
      const name = own.join("/")
      if (isOddName(own)) return yield* refuse(address, `no part can be named after "${name}"`, "Give it another name")
      if (names.has(name)) return yield* refuse(address, `another input file is called "${name}" as well`, "Run an inference for each of them")
      names.set(name, isUrl(address) ? address : resolve(address))
    }
    return names
  })

const inspect = <E>(name: string, address: string, check: (file: Parquet.ParquetFile) => Effect.Effect<void, E>) =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* Parquet.open(address)
    yield* check(file)
    return { name, contentKey: yield* file.contentKey, rowGroups: file.rowGroups.map(({ rows }) => rows) } satisfies InputFile
  }))

/**
 * Finds and opens the files that `pattern` names. What `check` refuses fails in any case; with `passOver`, a file that
 * cannot be read is listed.
 */
export const findInputs = <E>(pattern: string | ReadonlyArray<string>, passOver: boolean, check: (file: Parquet.ParquetFile) => Effect.Effect<void, E>) =>
  Effect.gen(function*() {
    const addresses = yield* nameInputs(yield* Parquet.files(pattern))
    const files: Array<InputFile> = []
    const unreadable: Array<UnreadableFile> = []
    for (const [name, address] of addresses) {
      const file = yield* Effect.result(inspect(name, address, check))
      if (file._tag === "Success") files.push(file.success)
      else if (passOver && file.failure instanceof Parquet.ParquetError && Parquet.isDamage(file.failure)) unreadable.push({ name, problem: file.failure.message })
      else return yield* Effect.fail(file.failure)
    }
    return { addresses, files, unreadable } satisfies Inputs
  })

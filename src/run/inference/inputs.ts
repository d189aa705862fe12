/**
 * The files of an inference by what they hold, not by where they lie.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { dirname, relative, resolve, sep } from "node:path"
import { Parquet } from "../../io/index.ts"

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
  /** The folder that all input files share. */
  readonly base: string
  readonly files: ReadonlyArray<InputFile>
  readonly unreadable: ReadonlyArray<UnreadableFile>
}

/** The longest folder that holds all of `paths`, which are absolute. */
const sharedFolder = (paths: ReadonlyArray<string>): string => {
  const folders = paths.map((path) => dirname(path).split(sep))
  const [first = []] = folders
  const end = first.findIndex((part, i) => folders.some((folder) => folder[i] !== part))
  return (end === -1 ? first : first.slice(0, end)).join(sep) || sep
}

const inspect = (base: string, path: string) =>
  Effect.scoped(Effect.gen(function*() {
    const { contentKey, rowGroups } = yield* Parquet.open(path)
    return { name: relative(base, path).split(sep).join("/"), contentKey: yield* contentKey, rowGroups: rowGroups.map(({ rows }) => rows) }
  }))

/** Finds and opens the files that `pattern` names; with `passOver`, one that cannot be read is listed instead of failing. */
export const findInputs = (pattern: string | ReadonlyArray<string>, passOver: boolean): Effect.Effect<Inputs, Parquet.ParquetError> =>
  Effect.gen(function*() {
    const paths = (yield* Parquet.files(pattern)).map((path) => resolve(path))
    const base = sharedFolder(paths)
    const files: Array<InputFile> = []
    const unreadable: Array<UnreadableFile> = []
    for (const path of paths) {
      const file = yield* Effect.result(inspect(base, path))
      if (file._tag === "Success") files.push(file.success)
      else if (passOver) unreadable.push({ name: relative(base, path).split(sep).join("/"), problem: file.failure.message })
      else return yield* file.failure
    }
    return { base, files, unreadable }
  })

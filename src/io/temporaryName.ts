/**
 * Names of files that are not finished yet, which say whose they are: what a killed process left can be told from what
 * another one is writing.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { createHash, randomBytes } from "node:crypto"
import { stat } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { attempt, type DiskError } from "./Disk.ts"
import { isAlive, type ProcessIdentity, thisProcess } from "./processIdentity.ts"

const suffix = ".partial"

/** Six hexadecimal digits for the machine, or the container, in which the number of a process means something. */
const machineOf = ({ host, namespace }: Pick<ProcessIdentity, "host" | "namespace">): string =>
  createHash("sha256").update(JSON.stringify([host, namespace])).digest("hex").slice(0, 6)

/** A fresh temporary name next to `path`: hidden, unique, naming this process, and ending in `.partial`. */
export const temporaryName = (path: string): string => {
  const { pid, started, ...here } = thisProcess()
  return join(dirname(path), `.${basename(path)}.${machineOf(here)}-${pid}-${started ?? 0}-${randomBytes(3).toString("hex")}${suffix}`)
}

/** Whether a file or folder name is a leftover of an interrupted write. */
export const isTemporaryName = (name: string): boolean => name.startsWith(".") && name.endsWith(suffix)

const writerPattern = /\.([0-9a-f]{6})-(\d+)-(\d+)-[0-9a-f]{6}\.partial$/

/** What another machine has not touched for so long, in milliseconds, nobody there is writing any more. */
const abandonedAfter = 24 * 3600 * 1000

const isAbandoned = (path: string): Effect.Effect<boolean, DiskError> =>
  attempt("look at", path, async () => Date.now() - (await stat(path)).mtimeMs > abandonedAfter)

/** Whether nobody writes the temporary file any more: its process is gone from this machine, or it is of another and old. */
const isLeft = (path: string): Effect.Effect<boolean, DiskError> => {
  const [, machine, pid, started] = writerPattern.exec(path) ?? []
  return machine === machineOf(thisProcess())
    ? Effect.map(isAlive({ pid: Number(pid), started: started === "0" ? null : started! }), (alive) => !alive)
    : isAbandoned(path)
}

/**
 * Removes from a folder, not from those in it, what killed processes had not finished: of this machine at once, of others
 * when it has not been touched for a day. What cannot be looked at or removed stays. The names of what was removed.
 */
export const removeLeft = (folder: string): Effect.Effect<ReadonlyArray<string>> =>
  attempt("list", folder, (disk) => disk.list(folder)).pipe(
    Effect.flatMap((entries) =>
      Effect.filter(entries.map(({ name }) => name).filter(isTemporaryName), (name) => {
        const path = join(folder, name)
        return isLeft(path).pipe(
          Effect.tap((left) => left ? attempt("remove", path, (disk) => disk.remove(path)) : Effect.void),
          Effect.orElseSucceed(() => false)
        )
      })),
    Effect.orElseSucceed(() => [])
  )

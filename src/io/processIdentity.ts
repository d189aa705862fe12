/**
 * Which process this is, so that another can tell whether it still runs.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { readFileSync, readlinkSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { hostname } from "node:os"

/** A process among all there ever are: its number alone comes back after a restart. */
export interface ProcessIdentity {
  readonly pid: number
  readonly host: string
  /** When it started, in the kernel's ticks; null where the system does not say. */
  readonly started: string | null
  /** The space in which `pid` counts, since containers on one host count for themselves; null where there are none. */
  readonly namespace: string | null
}

const orNull = <A>(read: () => A): A | null => {
  try {
    return read()
  } catch {
    return null
  }
}

const statPath = (pid: number): string => `/proc/${pid}/stat`

// The second field is the program's name in parentheses, which may hold spaces; the start is the 22nd.
const startIn = (stat: string): string | null => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null

const startOf = (pid: number): Effect.Effect<string | null> => Effect.promise(() => readFile(statPath(pid), "utf8").then(startIn, () => null))

const identify = (): ProcessIdentity => ({
  pid: process.pid,
  host: hostname(),
  started: orNull(() => startIn(readFileSync(statPath(process.pid), "utf8"))),
  namespace: orNull(() => readlinkSync("/proc/self/ns/pid"))
})

let known: ProcessIdentity | undefined

/** The identity of the present process. */
export const thisProcess = (): ProcessIdentity => (known ??= identify())

const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Whether a process of this machine still runs. */
export const isAlive = ({ pid, started }: Pick<ProcessIdentity, "pid" | "started">): Effect.Effect<boolean> =>
  exists(pid) && pid > 0
    ? Effect.map(startOf(pid), (now) => started === null || now === null || now === started)
    : Effect.succeed(false)

/** A runner of a cluster as a process of its own, whose events can be waited for and which can be killed. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

/** One line of `elf infer --json`. */
export interface RunnerEvent {
  readonly at: number
  readonly event: string
  readonly part?: string
}

export interface RunnerProcess {
  readonly child: ChildProcess
  readonly events: ReadonlyArray<RunnerEvent>
  /** The parts of the units in hand, in the order in which they were begun. */
  readonly allInHand: () => ReadonlyArray<string>
  /** The part of the unit that was begun last, if it is in hand. */
  readonly inHand: () => string | undefined
  /** The last line of standard output as JSON. */
  readonly summary: () => Record<string, unknown>
  readonly stderr: () => string
  readonly isAlive: () => boolean
  /** Exit code, or the signal's name. */
  readonly ended: Promise<number | string>
}

/** Starts `elf …arguments --json`. */
export const startRunner = (arguments_: ReadonlyArray<string>): RunnerProcess => {
  const child = spawn(process.execPath, [cli, ...arguments_, "--json"], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } })
  const events: Array<RunnerEvent> = []
  let stderr = ""
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  createInterface(child.stdout).on("line", (line) => events.push({ at: Date.now(), ...(JSON.parse(line) as { readonly event: string }) }))
  const allInHand = () => {
    const finished = new Set(events.flatMap(({ event, part }) => event === "unitFinished" ? [part] : []))
    return events.flatMap(({ event, part }) => event === "unitStarted" && !finished.has(part) ? [part!] : [])
  }
  return {
    child,
    events,
    allInHand,
    inHand: () => allInHand().at(-1),
    summary: () => events.at(-1) as unknown as Record<string, unknown>,
    stderr: () => stderr,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    ended: once(child, "close").then(([code, signal]) => (code ?? signal) as number | string)
  }
}

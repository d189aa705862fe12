/** Runs the command line as a process of its own, as its users do. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Where a process is watched, and what it finds around it. */
export interface RunOptions {
  /** A signal is sent as soon as standard error contains this. */
  readonly interruptAt?: string
  /** Or once this has come about. */
  readonly interruptWhen?: Promise<unknown>
  /** Default SIGINT. */
  readonly signal?: "SIGINT" | "SIGTERM"
  /** Milliseconds from there to the signal; default 0. */
  readonly interruptAfter?: number
  readonly environment?: Readonly<Record<string, string>>
}

/** Runs `elf …arguments`. */
export const elf = (arguments_: ReadonlyArray<string>, { environment = {}, interruptAfter = 0, interruptAt, interruptWhen, signal = "SIGINT" }: RunOptions = {}): Promise<Finished> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...arguments_], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1", ...environment } })
    void interruptWhen?.then(() => child.kill(signal))
    let stdout = "", stderr = "", interrupted = false
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString()
      if (!interrupted && interruptAt !== undefined && stderr.includes(interruptAt)) {
        interrupted = true
        setTimeout(() => child.kill(signal), interruptAfter)
      }
    })
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

/** A command under way. */
export interface Running {
  readonly pid: number
  /** Waits until standard error contains this, or the command ends. */
  readonly said: (text: string) => Promise<void>
  readonly finished: Promise<Finished>
}

/** Starts `elf …arguments`. */
export const startElf = (arguments_: ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}): Running => {
  const child = spawn(process.execPath, [cli, ...arguments_], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1", ...environment } })
  let stdout = "", stderr = ""
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  const finished = once(child, "close").then(([code]): Finished => ({ code: code as number | null, stdout, stderr }))
  const said = async (text: string) => {
    while (!stderr.includes(text) && child.exitCode === null && child.signalCode === null) await Promise.race([once(child.stderr, "data"), finished])
  }
  return { pid: child.pid!, said, finished }
}

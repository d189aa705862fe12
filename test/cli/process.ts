/** Runs the command line as a process of its own, as its users do. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `elf …arguments`; `interruptAt` sends SIGINT as soon as standard error contains it. */
export const elf = (arguments_: ReadonlyArray<string>, options: { readonly interruptAt?: string } = {}): Promise<Finished> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...arguments_], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } })
    let stdout = "", stderr = "", interrupted = false
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString()
      if (!interrupted && options.interruptAt !== undefined && stderr.includes(options.interruptAt)) {
        interrupted = true
        child.kill("SIGINT")
      }
    })
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

/** Killing `elf infer` at random moments and starting it again, until it is done. */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

/** How one process ended. */
export interface Attempt {
  readonly killed: boolean
  readonly code: number | null
  /** Parts that it reported as finished. */
  readonly finished: ReadonlyArray<string>
  readonly stderr: string
}

/** Runs `elf infer`; SIGKILL comes `afterMilliseconds` after its first event, wherever it is then. */
export const inferKilled = (parameters: ReadonlyArray<string>, afterMilliseconds: number): Promise<Attempt> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, "infer", ...parameters, "--json"], { stdio: ["ignore", "pipe", "pipe"] })
    let [stdout, stderr, killed] = ["", "", false]
    let timer: NodeJS.Timeout | undefined
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString()
      timer ??= setTimeout(() => { killed = child.kill("SIGKILL") }, afterMilliseconds)
    })
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
    child.on("error", reject)
    child.on("close", (code) => {
      clearTimeout(timer)
      const events = stdout.split("\n").filter((line) => line.endsWith("}")).map((line) => JSON.parse(line) as { readonly event: string; readonly part: string })
      resolve({ killed: killed && code === null, code, stderr, finished: events.filter(({ event }) => event === "unitFinished").map(({ part }) => part) })
    })
  })

/** Every file of an output folder but its books, by its path, as a sha256; unfinished ones count too, they must not be there. */
export const partsOf = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((path) => !path.startsWith("_inference") && statSync(join(folder, path)).isFile())
      .sort()
      .map((path) => [path, createHash("sha256").update(readFileSync(join(folder, path))).digest("hex")])
  )

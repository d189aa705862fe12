/** Training that is killed again and again, and whether it comes to the same end as training that is not. */
import { spawn } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { keyed } from "../../src/flow/Random.ts"

const program = fileURLToPath(new URL("killedProcess.ts", import.meta.url))

/** When a process is killed: so long after its first step, or in the middle of a change of the disk. */
export type Blow =
  | { readonly kind: "time"; readonly milliseconds: number }
  | { readonly kind: "write"; readonly operation: number }
  | { readonly kind: "none" }

interface Ended {
  readonly killed: boolean
  readonly code: number | null
  readonly stderr: string
}

const attempt = (parameters: ReadonlyArray<string>, blow: Blow): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const operation = blow.kind === "write" ? blow.operation : -1
    const child = spawn(process.execPath, [program, String(operation), ...parameters], { stdio: ["ignore", "ignore", "pipe"] })
    let stderr = ""
    let timer: NodeJS.Timeout | undefined
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString()
      if (blow.kind === "time" && stderr.includes("step ")) timer ??= setTimeout(() => child.kill("SIGKILL"), blow.milliseconds)
    })
    child.on("error", reject)
    child.on("close", (code, signal) => {
      clearTimeout(timer)
      resolve({ killed: signal === "SIGKILL", code, stderr })
    })
  })

/** The `i`-th blow: every second one in the middle of a write. One checkpoint is about 30 changes of the disk. */
export const blowAt = (seed: number, i: number, { operations = 70, milliseconds = 400 } = {}): Blow => {
  const [u] = keyed(seed).uniform({ purpose: "blow", index: i }, 1)
  return i % 2 === 0
    ? { kind: "write", operation: Math.floor(u! * operations) }
    : { kind: "time", milliseconds: Math.floor(u! * milliseconds) }
}

/** What a run of attempts did. */
export interface Campaign {
  /** Processes that were killed, in a write and at a moment. */
  readonly inWrite: number
  readonly atMoment: number
}

/** A run file as it is for the `i`-th process: what may change between two of them. */
export type Variant = (i: number) => string

/** Starts a run and kills it, up to `most` times and until it is done; then lets it end. Its folder is empty before. */
export const killUntilDone = async (folder: string, variant: Variant, seed: number, most: number): Promise<Campaign> => {
  let [inWrite, atMoment] = [0, 0]
  for (let i = 0;; i++) {
    const blow: Blow = inWrite + atMoment < most ? blowAt(seed, i) : { kind: "none" }
    const resume = existsSync(join(folder, "latest")) ? ["--resume"] : []
    const { code, killed, stderr } = await attempt(["train", variant(i), ...resume], blow)
    if (!killed && code !== 0) throw new Error(`process ${i} (${JSON.stringify(blow)}) failed:\n${stderr}`)
    if (!killed) return { inWrite, atMoment }
    if (blow.kind === "write") inWrite++
    else atMoment++
  }
}

/** Trains without a blow. */
export const trainWhole = async (file: string): Promise<void> => {
  const { code, stderr } = await attempt(["train", file], { kind: "none" })
  if (code !== 0) throw new Error(stderr)
}

/** Writes run files that differ in how far they look ahead; the `i`-th process takes one of them. */
export const lookAheads = (folder: string, name: string, run: { readonly data: object }, depths: ReadonlyArray<number>): Variant => {
  const files = depths.map((prefetch) => {
    const path = join(folder, `${name}-${prefetch}.json`)
    writeFileSync(path, JSON.stringify({ ...run, data: { ...run.data, prefetch } }))
    return path
  })
  return (i) => files[i % files.length]!
}

interface Manifest {
  readonly files: unknown
  readonly step: number
  readonly metadata: unknown
}

/** Where a run ended: the sha256 of every section's tensors, its position in the data, its metrics but for the clock. */
export const endOf = (folder: string) => {
  const latest = readFileSync(join(folder, "latest"), "utf8").trim()
  const { files, metadata, step } = JSON.parse(readFileSync(join(folder, latest, "checkpoint.json"), "utf8")) as Manifest
  const metrics = readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n").map((line) => {
    const { time: _, ...rest } = JSON.parse(line) as Record<string, unknown>
    return rest
  })
  return { step, files, metadata, metrics }
}

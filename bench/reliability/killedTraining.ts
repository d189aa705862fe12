/** Training that is killed again and again, and whether it comes to the same end as training that is not. */
import { spawn } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { isDeepStrictEqual } from "node:util"
import { keyed } from "../../src/flow/Random.ts"
import { tinyTraining } from "./tinyTraining.ts"

const program = fileURLToPath(new URL("killedProcess.ts", import.meta.url))

/** When a process is killed: so long after its first step, or in the middle of a change of the disk. */
type Blow =
  | { readonly kind: "time"; readonly milliseconds: number }
  | { readonly kind: "write"; readonly operation: number }
  | { readonly kind: "none" }

interface Ended {
  readonly killed: boolean
  readonly code: number | null
  readonly stderr: string
}

const attempt = (folder: string, parameters: ReadonlyArray<string>, blow: Blow): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const operation = blow.kind === "write" ? blow.operation : -1
    // Most of a process's time is its start: what it compiles is kept for the next.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, "compiled") }
    const child = spawn(process.execPath, [program, String(operation), ...parameters], { env, stdio: ["ignore", "ignore", "pipe"] })
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

/** The `i`-th blow: every second one in the middle of a write. A checkpoint is about 30 changes of the disk. */
const blowAt = (seed: number, i: number): Blow => {
  const [u] = keyed(seed).uniform({ purpose: "blow", index: i }, 1)
  return i % 2 === 0 ? { kind: "write", operation: Math.floor(u! * 70) } : { kind: "time", milliseconds: Math.floor(u! * 250) }
}

/** A run file as it is for the `i`-th process: what may change between two of them. */
type Variant = (i: number) => string

/** Starts a run and kills it, up to `most` times and until it is done; then lets it end. Its folder is empty before. */
const killUntilDone = async (folder: string, name: string, variant: Variant, seed: number, most: number) => {
  let [inWrite, atMoment] = [0, 0]
  for (let i = 0;; i++) {
    const blow: Blow = inWrite + atMoment < most ? blowAt(seed, i) : { kind: "none" }
    const resume = existsSync(join(folder, name, "latest")) ? ["--resume"] : []
    const { code, killed, stderr } = await attempt(folder, ["train", variant(i), ...resume], blow)
    if (!killed && code !== 0) throw new Error(`process ${i} (${JSON.stringify(blow)}) failed:\n${stderr}`)
    if (!killed) return { inWrite, atMoment }
    if (blow.kind === "write") inWrite++
    else atMoment++
  }
}

/** Trains without a blow. */
const trainWhole = async (folder: string, file: string): Promise<void> => {
  const { code, stderr } = await attempt(folder, ["train", file], { kind: "none" })
  if (code !== 0) throw new Error(stderr)
}

/** Writes run files that differ in how far they look ahead; the `i`-th process takes one of them. */
const lookAheads = (folder: string, name: string, run: { readonly data: object }, depths: ReadonlyArray<number>): Variant => {
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
const endOf = (folder: string) => {
  const latest = readFileSync(join(folder, "latest"), "utf8").trim()
  const { files, metadata, step } = JSON.parse(readFileSync(join(folder, latest, "checkpoint.json"), "utf8")) as Manifest
  const metrics = readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n").map((line) => {
    const { time: _, ...rest } = JSON.parse(line) as Record<string, unknown>
    return rest
  })
  return { step, files, metadata, metrics }
}

/** What came of many runs: processes killed in a write and at a moment; runs, and those that ended as the undisturbed one. */
export interface Outcome {
  readonly kills: number
  readonly inWrite: number
  readonly atMoment: number
  readonly runs: number
  readonly equal: number
}

/** How often, and on what. */
export interface Plan {
  /** Holds what {@link writeTinyData} writes; the runs go here too. */
  readonly folder: string
  readonly kills: number
  /** Of one run, after which it may end. */
  readonly killsOfRun: number
  readonly steps: number
  readonly seed: number
  readonly say: (line: string) => void
}

/** Kills training `kills` times, in as many runs as that takes, and compares where each ends with an undisturbed one. */
export const killTraining = async ({ folder, kills, killsOfRun, say, seed, steps }: Plan): Promise<Outcome> => {
  await trainWhole(folder, lookAheads(folder, "whole", tinyTraining("whole", steps), [0])(0))
  const whole = endOf(join(folder, "whole"))
  let [inWrite, atMoment, runs, equal] = [0, 0, 0, 0]
  while (inWrite + atMoment < kills) {
    const name = `run-${runs++}`
    const done = await killUntilDone(folder, name, lookAheads(folder, name, tinyTraining(name, steps), [0, 3, 1]), seed + runs, Math.min(killsOfRun, kills - inWrite - atMoment))
    inWrite += done.inWrite
    atMoment += done.atMoment
    const same = isDeepStrictEqual(endOf(join(folder, name)), whole)
    equal += Number(same)
    say(`${name}: ${done.inWrite + done.atMoment} kills, ${same ? "equal" : "DIFFERENT"}; ${inWrite + atMoment}/${kills}`)
  }
  return { kills: inWrite + atMoment, inWrite, atMoment, runs, equal }
}

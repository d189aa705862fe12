/**
 * Fuzzes one reader in a process of its own and watches over it: a case that hangs or kills the process is found too, and
 * the cases behind it are run all the same.
 */
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { drawsOf } from "./Reader.ts"
import { readers } from "./readers/index.ts"

/** Something that must not happen, and the number of the case with which it did. */
export interface Finding {
  readonly index: number
  readonly what: string
  readonly detail: string
}

/** What came of all cases of one reader. */
export interface Report {
  readonly reader: string
  readonly cases: number
  readonly read: number
  readonly refused: number
  readonly findings: ReadonlyArray<Finding>
  /** Of one case: processor time, bytes allocated on the heap and as buffers, bytes by which the process's peak grew. */
  readonly worst: { readonly milliseconds: number; readonly heap: number; readonly buffers: number; readonly resident: number }
  readonly seconds: number
}

/** Which cases of which reader; the number of a case and the seed say all about it. */
export interface FuzzOptions {
  readonly reader: string
  readonly seed: number
  readonly cases: number
  /** Number of the first case. Default 0. */
  readonly first?: number
  /** Milliseconds after which a case is said to hang. Default 20,000: the machine may be busy. */
  readonly patience?: number
  /** Told where it stands, about once a second. */
  readonly progress?: (done: number) => void
}

const mostFindings = 20
const child = join(import.meta.dirname, "child.ts")

interface Stretch {
  readonly findings: ReadonlyArray<Finding>
  readonly summary: { readonly counts: { readonly read: number; readonly refused: number }; readonly worst: Report["worst"] } | undefined
  /** The case that ended the process before its time. */
  readonly fatal: Finding | undefined
}

const caseAt = (progress: string, first: number): number => {
  try {
    const mark = readFileSync(progress)
    return mark.length === 8 ? mark.readDoubleLE(0) : first
  } catch {
    return first
  }
}

/** Runs the cases from `first` on in one process, until they are done or one of them ends it. */
const stretch = ({ cases, patience = 20_000, progress, reader, seed }: FuzzOptions, first: number, end: number, folder: string): Promise<Stretch> =>
  new Promise((resolve, reject) => {
    const place = join(folder, "progress")
    rmSync(place, { force: true })
    const started = spawn(process.execPath, ["--max-old-space-size=256", child, reader, String(seed), String(first), String(end - first), place], { stdio: ["ignore", "pipe", "pipe"] })
    let [stdout, stderr, hung, last, since] = ["", "", false, -1, performance.now()]
    started.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
    started.stderr.on("data", (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-4_000)))
    const watch = setInterval(() => {
      const now = caseAt(place, first - 1)
      if (now !== last) [last, since] = [now, performance.now()]
      else if (performance.now() - since > (now < first ? 10 * patience : patience)) hung = started.kill("SIGKILL")
      progress?.(cases - (end - Math.max(now, first)))
    }, Math.min(1000, patience / 2))
    started.on("error", reject)
    started.on("close", (code, signal) => {
      clearInterval(watch)
      const lines = stdout.split("\n").filter((line) => line.endsWith("}")).map((line) => JSON.parse(line) as { readonly finding?: Finding; readonly summary?: Stretch["summary"] })
      const summary = lines.find((line) => line.summary !== undefined)?.summary
      const fatal = summary !== undefined ? undefined : {
        index: caseAt(place, first),
        what: hung ? "hang" : "crash",
        detail: hung ? `nothing happened for ${patience} ms` : `the process ended with ${signal ?? code}: ${stderr.trim().slice(0, 2_000)}`
      }
      resolve({ findings: lines.flatMap(({ finding }) => finding ?? []), summary, fatal })
    })
  })

/** Runs all cases; behind one that ends the process it goes on in another. */
export const fuzz = async (options: FuzzOptions): Promise<Report> => {
  const folder = mkdtempSync(join(tmpdir(), "elf-fuzz-watch-"))
  const started = performance.now()
  const [begin, findings, worst] = [options.first ?? 0, [] as Array<Finding>, { milliseconds: 0, heap: 0, buffers: 0, resident: 0 }]
  const end = begin + options.cases
  const counts = { read: 0, refused: 0 }
  for (let next = begin; next < end && findings.length < mostFindings;) {
    const { fatal, findings: more, summary } = await stretch(options, next, end, folder)
    findings.push(...more, ...(fatal === undefined ? [] : [fatal]))
    counts.read += summary?.counts.read ?? 0
    counts.refused += summary?.counts.refused ?? 0
    for (const key of ["milliseconds", "heap", "buffers", "resident"] as const) worst[key] = Math.max(worst[key], summary?.worst[key] ?? 0)
    next = fatal === undefined ? end : fatal.index + 1
  }
  rmSync(folder, { recursive: true, force: true })
  return { reader: options.reader, cases: options.cases, ...counts, findings, worst, seconds: (performance.now() - started) / 1000 }
}

/** Writes the files of one case into `folder`; their paths. */
export const writeCase = async (reader: string, seed: number, index: number, folder: string): Promise<ReadonlyArray<string>> => {
  const made = (await readers[reader]!()).make(drawsOf(seed, index))
  const place = join(folder, `${reader}-${seed}-${index}`)
  return Object.entries(made instanceof Uint8Array ? { file: made } : made).map(([name, bytes]) => {
    const path = join(place, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes)
    return path
  })
}

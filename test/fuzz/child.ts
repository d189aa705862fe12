/**
 * The process that reads hostile files: it may hang or die, {@link file://./fuzz.ts} watches it.
 *
 *     node --max-old-space-size=256 test/fuzz/child.ts READER SEED FIRST CASES PROGRESS
 *
 * Before each case its number is written into the file PROGRESS; findings and the summary go to standard output, a line
 * of JSON each.
 */
import { Effect, Exit } from "effect"
import { openSync, writeSync } from "node:fs"
import { drawsOf, type Reader } from "./Reader.ts"
import { readers } from "./readers/index.ts"
import { misbehaving } from "./readers/misbehaving.ts"

/** What one case cost. */
interface Cost {
  readonly milliseconds: number
  /** Bytes of the heap that were asked for, and of array buffers, as far as no garbage collection came between. */
  readonly heap: number
  readonly buffers: number
  /** Bytes by which the most memory that the process ever had has grown. */
  readonly resident: number
}

/** Processor time, so that other programs of a busy machine do not count. */
const slowest = 3_000

/**
 * What a case may take: so many times its bytes, and beside them what decompression windows and the engine's own habits
 * need. Garbage counts as allocated, though it is never all there at once, so the heap may have twice as much; the process may
 * grow by both together, since collecting garbage takes room of its own.
 */
const allowance = { multiple: 32, buffers: 32 * 1024 * 1024, heap: 64 * 1024 * 1024, resident: 96 * 1024 * 1024 }

const [name, seed, first, cases, progress] = process.argv.slice(2) as [string, string, string, string, string]
const say = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`)

let current = Number(first)
const found = (what: string, detail: string) => say({ finding: { index: current, what, detail: detail.slice(0, 2_000) } })

process.on("unhandledRejection", (reason) => found("unhandled rejection", reason instanceof Error ? String(reason.stack) : String(reason)))

const bytesOf = (made: ReturnType<Reader["make"]>): number =>
  made instanceof Uint8Array ? made.length : Object.values(made).reduce((sum, { length }) => sum + length, 0)

const measured = async (run: () => Promise<void>): Promise<Cost> => {
  const [before, peak, cpu] = [process.memoryUsage(), process.resourceUsage().maxRSS, process.cpuUsage()]
  await run()
  const { system, user } = process.cpuUsage(cpu)
  const after = process.memoryUsage()
  const grown = (key: "arrayBuffers" | "heapUsed") => Math.max(0, after[key] - before[key])
  return { milliseconds: (system + user) / 1000, heap: grown("heapUsed"), buffers: grown("arrayBuffers"), resident: (process.resourceUsage().maxRSS - peak) * 1024 }
}

/** Reads one case; `read` or `refused`, whatever else is a finding. */
const outcomeOf = async (reader: Reader, made: ReturnType<Reader["make"]>): Promise<"read" | "refused"> => {
  const exit = await Effect.runPromiseExit(reader.read(made))
  if (Exit.isSuccess(exit)) return "read"
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Fail" && reader.isTyped(reason.error)) {
      const { message } = reason.error as Error
      if (typeof message !== "string" || message.length === 0 || message.length > 20_000) found("message", `the error says ${String(message).length} characters`)
    } else found(reason._tag === "Fail" ? "error of no known type" : "defect", String(reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? (reason.defect as Error)?.stack ?? reason.defect : reason))
  }
  return "refused"
}

const judge = ({ buffers, heap, milliseconds, resident }: Cost, bytes: number) => {
  const more = allowance.multiple * bytes
  if (milliseconds > slowest) found("time", `${Math.round(milliseconds)} ms of processor time for ${bytes} bytes`)
  if (buffers <= allowance.buffers + more && heap <= allowance.heap + more && resident <= allowance.resident + more) return
  found("memory", `${buffers} bytes of buffers and ${heap} of the heap were allocated, the process grew by ${resident}, for a file of ${bytes}`)
}

const main = async () => {
  const reader = await (readers[name] ?? misbehaving(name))()
  const place = openSync(progress, "w")
  const counts = { read: 0, refused: 0 }
  const worst = { milliseconds: 0, heap: 0, buffers: 0, resident: 0 }
  const mark = Buffer.alloc(8)
  // The first case pays for what is loaded late.
  await Effect.runPromiseExit(reader.read(reader.make(drawsOf(0, 0))))
  for (const last = current + Number(cases); current < last; current++) {
    mark.writeDoubleLE(current)
    writeSync(place, mark, 0, 8, 0)
    const made = reader.make(drawsOf(Number(seed), current))
    const cost = await measured(async () => { counts[await outcomeOf(reader, made)]++ })
    judge(cost, bytesOf(made))
    // Rejections that nobody handles are told only when nothing else is left to do.
    await new Promise(setImmediate)
    for (const key of ["milliseconds", "heap", "buffers", "resident"] as const) worst[key] = Math.max(worst[key], cost[key])
  }
  say({ summary: { counts, worst } })
}

await main()

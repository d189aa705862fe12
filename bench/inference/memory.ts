/**
 * Peak memory of `elf infer` at 10 thousand and at 1 million short rows: the same, whatever the number of rows.
 *
 *     npm run bench:memory [-- --task sample --batch-size 64 --rows 10000,100000]
 *
 * A network of a few thousand weights, so that rows, not weights, are what memory could hold. Rows lie in files of 25,000
 * in row groups of 5,000, and once more in a single row group. A process's peak is what the system says at its end.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { writePrompts, writeTinyCheckpoint } from "../../test/support/tinyCheckpoint.ts"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

/** Prints the peak of the resident set, in kilobytes, when the process ends. */
const probe = `data:text/javascript,process.on("exit",()=>process.stderr.write("\\npeak "+process.resourceUsage().maxRSS+"\\n"))`

interface Measured {
  /** MB */
  readonly peak: number
  readonly summary: { readonly rows: number; readonly seconds: number }
}

const infer = (parameters: ReadonlyArray<string>): Promise<Measured> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", probe, cli, "infer", ...parameters, "--json"], { stdio: ["ignore", "pipe", "pipe"] })
    let [out, said] = ["", ""]
    child.stdout.on("data", (chunk: Buffer) => (out = (out + chunk.toString()).slice(-4000)))
    child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)))
    child.on("close", (code) => {
      const peak = Number(/peak (\d+)/.exec(said)?.[1])
      if (code !== 0) reject(new Error(said))
      else resolve({ peak: peak / 1024, summary: JSON.parse(out.trimEnd().split("\n").at(-1)!) as Measured["summary"] })
    })
  })

const rowsPerFile = 25_000

const writeFiles = async (folder: string, rows: number): Promise<void> => {
  for (let first = 0; first < rows; first += rowsPerFile) {
    await Effect.runPromise(writePrompts(join(folder, `${String(first).padStart(9, "0")}.parquet`), Math.min(rowsPerFile, rows - first), 5000, first))
  }
}

const writeOneGroup = (folder: string, rows: number): Promise<void> => Effect.runPromise(writePrompts(join(folder, "one.parquet"), rows, rows))

const layouts = { "row groups of 5,000": writeFiles, "one row group": writeOneGroup }

const { values } = parseArgs({
  options: { task: { type: "string", default: "encode" }, rows: { type: "string", default: "10000,1000000" }, "batch-size": { type: "string", default: "16" } }
})
const work = values.task === "encode" ? ["--pool", "mean"] : values.task === "sample" ? ["--steps", "1"] : []
const folder = mkdtempSync(join(tmpdir(), "elf-memory-"))

try {
  const checkpoint = await Effect.runPromise(writeTinyCheckpoint(folder))
  for (const [layout, write] of Object.entries(layouts)) {
    let least: number | undefined
    for (const rows of values.rows.split(",").map(Number)) {
      const [input, output] = [join(folder, "in"), join(folder, "out")]
      await write(input, rows)
      const { peak, summary } = await infer([
        "--checkpoint", checkpoint, "--input", input, "--column", "prompt", "--output", output, "--task", values.task, "--batch-size", values["batch-size"], ...work
      ])
      const more = peak - (least ??= peak)
      process.stdout.write(`${values.task}, ${rows} rows in ${layout}: peak ${peak.toFixed(0)} MB (${more >= 0 ? "+" : ""}${more.toFixed(0)} MB), ${summary.rows} rows in ${summary.seconds.toFixed(0)} s\n`)
      for (const each of [input, output]) rmSync(each, { recursive: true })
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/**
 * Peak memory of `elf infer` at 10 thousand and at 1 million short rows: the same, whatever the number of rows.
 *
 *     node bench/inference/memory.ts [rows …]
 *
 * A network of a few thousand weights, so that rows, not weights, are what memory could hold. Each size is run twice: in
 * row groups of 10,000 rows, and as one row group.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { writePrompts, writeTinyCheckpoint } from "../../test/support/tinyCheckpoint.ts"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

/** Prints the peak of the resident set, in kilobytes, when the process ends. */
const probe = `data:text/javascript,process.on("exit",()=>process.stderr.write("\\npeak "+process.resourceUsage().maxRSS+"\\n"))`

interface Measured {
  readonly peak: number
  readonly summary: { readonly rows: number; readonly seconds: number; readonly padding: number }
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

const sizes = process.argv.slice(2).map(Number)
const folder = mkdtempSync(join(tmpdir(), "elf-memory-"))

try {
  const checkpoint = await Effect.runPromise(writeTinyCheckpoint(folder))
  for (const rows of sizes.length > 0 ? sizes : [10_000, 1_000_000]) {
    for (const rowGroup of [10_000, rows]) {
      const input = join(folder, "prompts.parquet")
      const output = join(folder, "answers")
      await Effect.runPromise(writePrompts(input, rows, rowGroup))
      const { peak, summary } = await infer(["--checkpoint", checkpoint, "--input", input, "--column", "prompt", "--output", output, "--steps", "1", "--fresh"])
      process.stdout.write(`${rows} rows in row groups of ${rowGroup}: peak ${peak.toFixed(0)} MB, ${summary.rows} answers in ${summary.seconds.toFixed(0)} s, padding ${(100 * summary.padding).toFixed(1)} %\n`)
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

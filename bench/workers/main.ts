/**
 * How fast a run trains in one process and in several: `npm run bench:workers [RUN] [STEPS] [1,2,1,2]`.
 *
 * Each number is a run of its own, `elf train --workers N`, with the processors divided between them. The first
 * steps are left out; a step's time is the time between two lines of the log.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { RunConfig } from "../../src/io/index.ts"

const [file = "runs/sotu.yaml", steps = "12", counts = "1,2,1,2"] = process.argv.slice(2)
const warmUp = 4

interface Line {
  readonly step: number
  readonly time: number
  readonly tokens: number
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

const measure = (run: RunConfig.RunConfig, workers: number, directory: string): { readonly least: number; readonly median: number; readonly tokens: number } => {
  const path = `${directory}.json`
  const { heldOut: _, ...data } = run.data
  writeFileSync(path, JSON.stringify({ ...run, data, checkpoint: { ...run.checkpoint, directory }, log: { every: 1000, file: `${directory}.jsonl` } }))
  const { status, stderr } = spawnSync(process.execPath, ["src/cli.ts", "train", path, "--steps", steps, "--workers", String(workers)], { encoding: "utf8" })
  if (status !== 0) throw new Error(stderr)
  const lines = readFileSync(`${directory}.jsonl`, "utf8").trim().split("\n").map((line) => JSON.parse(line) as Line)
  const seconds = lines.slice(1).map(({ time }, i) => (time - lines[i]!.time) / 1000).slice(warmUp)
  return { least: Math.min(...seconds), median: median(seconds), tokens: lines[0]!.tokens }
}

const main = Effect.gen(function*() {
  const run = yield* RunConfig.load(file)
  const folder = mkdtempSync(join(tmpdir(), "elf-workers-"))
  try {
    for (const [i, workers] of counts.split(",").map(Number).entries()) {
      const { least, median, tokens } = measure(run, workers, join(folder, String(i)))
      process.stdout.write(`${workers} ${workers === 1 ? "process  " : "processes"}  ${least.toFixed(3)} / ${median.toFixed(3)} s a step  ${Math.round(tokens / median)} tokens/s\n`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

await Effect.runPromise(main)

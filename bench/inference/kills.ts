/**
 * `elf infer` killed with SIGKILL at random moments and started again, until it was killed often enough; then its parts are
 * compared, byte for byte, with those of a run that nobody disturbed.
 *
 *     npm run bench:kills [-- KILLS]
 *
 * A kill comes up to 1.5 s after the first word of a process: while it loads, reads, computes, writes, syncs or renames.
 */
import { Effect } from "effect"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { keyed } from "../../src/flow/Random.ts"
import { inferKilled, partsOf } from "../../test/support/killing.ts"
import { writePrompts, writeTinyCheckpoint } from "../../test/support/tinyCheckpoint.ts"

const wanted = Number(process.argv[2] ?? 50)
const [files, rows, rowGroup] = [4, 1000, 20]
const folder = mkdtempSync(join(tmpdir(), "elf-kills-"))
const say = (line: string) => process.stdout.write(`${line}\n`)
const uniform = (index: number): number => keyed(20_261_124).uniform({ purpose: "kill", index }, 1)[0]!

/** Unfinished files that kills left behind. */
const leftovers = (output: string): number => readdirSync(output, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".partial")).length

try {
  const checkpoint = await Effect.runPromise(writeTinyCheckpoint(folder))
  for (let i = 0; i < files; i++) await Effect.runPromise(writePrompts(join(folder, "in", `${i}.parquet`), rows, rowGroup, i * rows))
  const infer = (output: string) => ["--checkpoint", checkpoint, "--input", join(folder, "in"), "--column", "prompt", "--output", join(folder, output), "--steps", "4"]
  const whole = await inferKilled(infer("whole"), 1e8)
  if (whole.code !== 0) throw new Error(whole.stderr)
  let [kills, early, starts] = [0, 0, 0]
  const finished: Array<string> = []
  for (let ended = false; !ended; starts++) {
    const { code, finished: some, killed, stderr } = await inferKilled(infer("killed"), kills < wanted ? 1500 * uniform(starts) : 1e8)
    finished.push(...some)
    if (killed) {
      if (++kills % 10 === 0) say(`${kills} kills, ${new Set(finished).size} parts`)
      if (some.length === 0) early++
    } else if (code !== 0) throw new Error(stderr)
    else ended = true
  }
  const [expected, found] = [partsOf(join(folder, "whole")), partsOf(join(folder, "killed"))]
  const different = Object.keys({ ...expected, ...found }).filter((part) => expected[part] !== found[part])
  say(`${kills} kills (${early} before a part was finished), ${starts} starts, ${files * rows} rows in ${Object.keys(expected).length} parts`)
  say(`parts that differ or are missing: ${different.length}; parts reported as finished twice: ${finished.length - new Set(finished).size}; unfinished files left: ${leftovers(join(folder, "killed"))}`)
  if (kills < wanted) say(`the work was done before ${wanted} kills`)
  if (different.length > 0 || finished.length !== new Set(finished).size || leftovers(join(folder, "killed")) > 0 || kills < wanted) process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

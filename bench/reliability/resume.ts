/**
 * Kills training so many times, half of them in the middle of a checkpoint's write, and compares where it ends with where
 * it ends undisturbed: parameters, average, moments and position by sha256, metrics line by line.
 *
 *     node bench/reliability/resume.ts [kills] [seed]
 */
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { killTraining } from "./killedTraining.ts"
import { writeTinyData } from "./tinyTraining.ts"

const [kills = 200, seed = 1] = process.argv.slice(2).map(Number)
const folder = mkdtempSync(join(tmpdir(), "elf-resume-"))
const say = (line: string): void => void process.stderr.write(`${line}\n`)

await Effect.runPromise(writeTinyData(folder))
const outcome = await killTraining({ folder, kills, killsOfRun: 25, steps: 16, seed, say })
process.stdout.write(`${JSON.stringify(outcome)}\n`)
if (outcome.equal === outcome.runs) rmSync(folder, { recursive: true })
else {
  say(`what differs is in ${folder}`)
  process.exitCode = 1
}

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
import { isDeepStrictEqual } from "node:util"
import { endOf, killUntilDone, lookAheads, trainWhole } from "./killedTraining.ts"
import { tinyTraining, writeTinyData } from "./tinyTraining.ts"

const [kills = 200, seed = 1] = process.argv.slice(2).map(Number)
const [steps, killsOfRun] = [16, 25]
const folder = mkdtempSync(join(tmpdir(), "elf-resume-"))
const say = (line: string): void => void process.stderr.write(`${line}\n`)

await Effect.runPromise(writeTinyData(folder))
await trainWhole(lookAheads(folder, "whole", tinyTraining("whole", steps), [0])(0))
const whole = endOf(join(folder, "whole"))
say(`reference: ${whole.step} batches, ${whole.metrics.length} lines of metrics`)

const started = performance.now()
let [inWrite, atMoment, runs, equal] = [0, 0, 0, 0]
while (inWrite + atMoment < kills) {
  const name = `run-${runs++}`
  const most = Math.min(killsOfRun, kills - inWrite - atMoment)
  const done = await killUntilDone(join(folder, name), lookAheads(folder, name, tinyTraining(name, steps), [0, 3, 1]), seed + runs, most)
  inWrite += done.inWrite
  atMoment += done.atMoment
  const same = isDeepStrictEqual(endOf(join(folder, name)), whole)
  equal += Number(same)
  say(`${name}: ${done.inWrite + done.atMoment} kills, ${same ? "equal" : "DIFFERENT"}; ${inWrite + atMoment}/${kills} after ${Math.round((performance.now() - started) / 1000)} s`)
  if (same) rmSync(join(folder, name), { recursive: true })
  else process.exitCode = 1
}
process.stdout.write(`${JSON.stringify({ kills: inWrite + atMoment, inWrite, atMoment, runs, equal })}\n`)
if (equal === runs) rmSync(folder, { recursive: true })
else say(`what differs is in ${folder}`)

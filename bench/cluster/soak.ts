/**
 * `elf infer --cluster` under attack: three processes on a real PostgreSQL, of which one after another is struck at a random
 * moment (three of four blows are SIGKILL), the database crashing in between; then the parts are compared with those of a
 * single process that nobody disturbs.
 *
 *     npm run bench:cluster [-- --blows 26 --concurrency 1 --row-groups 500 --steps 300]
 *
 * Long row groups, so that all places are taken when a process is lost: --blows 8 --concurrency 2 --row-groups 36 --steps 3000.
 */
import { Effect } from "effect"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { keyed } from "../../src/flow/Random.ts"
import { type Blow, startPool, type Struck } from "../../test/cluster/chaos.ts"
import { postgres } from "../../test/cluster/postgres.ts"
import { startRunner } from "../../test/cluster/runnerProcess.ts"
import { partsOf } from "../../test/support/killing.ts"
import { writePrompts, writeTinyCheckpoint } from "../../test/support/tinyCheckpoint.ts"

const { values } = parseArgs({
  options: { blows: { type: "string", default: "26" }, concurrency: { type: "string", default: "1" }, "row-groups": { type: "string", default: "500" }, steps: { type: "string", default: "300" } }
})
const [blows, rowGroups] = [Number(values.blows), Number(values["row-groups"])]
const rowsPerGroup = 8
const uniform = (index: number): number => keyed(20_261_124).uniform({ purpose: "blow", index }, 1)[0]!

const blowOf = (index: number): Blow => index % 4 < 3 ? "SIGKILL" : index % 8 < 4 ? "SIGSTOP" : "SIGINT"

const say = (line: string) => process.stdout.write(`${line}\n`)

/** Parts by how often the manifest says that they were finished. */
const manifestLines = (output: string): ReadonlyArray<string> =>
  (existsSync(join(output, "_inference")) ? readdirSync(join(output, "_inference")) : []).filter((name) => name.endsWith(".jsonl")).flatMap((name) =>
    readFileSync(join(output, "_inference", name), "utf8").split("\n").filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => (JSON.parse(line) as { readonly part: string }).part))

const median = (of: ReadonlyArray<number>): number => of.toSorted((a, b) => a - b)[of.length >> 1]!

const report = (struck: ReadonlyArray<Struck>) => {
  for (const blow of ["SIGKILL", "SIGSTOP", "SIGINT"] as const) {
    const all = struck.filter((one) => one.blow === blow)
    const times = all.flatMap(({ stalled, takenOverAfter }) => takenOverAfter === undefined || stalled ? [] : [takenOverAfter / 1000])
    const seconds = times.length === 0 ? "no time taken" : `begun elsewhere after ${median(times).toFixed(1)} s (median), at most ${Math.max(...times).toFixed(1)} s, of ${times.length}`
    say(`${blow}: ${all.length} times; ${seconds}`)
  }
}

const soak = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "elf-soak-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const { restart, url } = yield* postgres
  const checkpoint = yield* writeTinyCheckpoint(folder)
  yield* writePrompts(join(folder, "prompts.parquet"), rowGroups * rowsPerGroup, rowsPerGroup)
  const infer = (output: string, ...more: ReadonlyArray<string>) => [
    "infer", "--checkpoint", checkpoint, "--input", join(folder, "prompts.parquet"), "--column", "prompt", "--output", join(folder, output), "--steps", values.steps, ...more
  ]
  const began = Date.now()
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() => startPool(3, () => startRunner(infer("shared", "--cluster", url, "--concurrency", values.concurrency)), (part) => manifestLines(join(folder, "shared")).includes(part))),
    ({ stopAll }) => Effect.sync(stopAll)
  )
  const struck: Array<Struck> = []
  for (let i = 0; i < blows; i++) {
    if (i === blows >> 1) {
      say("the database crashes, and is back after 3 s")
      yield* Effect.promise(() => restart(3000))
    }
    yield* Effect.sleep(Math.floor(3000 * uniform(1000 + i)))
    const outcome = yield* Effect.promise(() => pool.strike(blowOf(i), (count) => Math.floor(uniform(i) * count)))
    if (outcome === undefined) break
    struck.push(outcome)
    say(`${i + 1} ${outcome.blow} ${outcome.part}: ${outcome.takenOverAfter === undefined ? "published before" : `${outcome.takenOverAfter} ms`}${outcome.stalled ? " (this machine stood still)" : ""}`)
  }
  const ended = yield* Effect.promise(() => Promise.all(pool.runners.map((runner) => runner.ended)))
  const strange = pool.runners.filter((_, i) => ![0, 130, "SIGKILL"].includes(ended[i]!))
  for (const runner of strange) say(`a runner failed: ${JSON.stringify(runner.summary())} ${runner.stderr().slice(-500)}`)
  report(struck)
  const alone = yield* Effect.acquireRelease(Effect.sync(() => startRunner(infer("alone"))), ({ child }) => Effect.sync(() => void child.kill("SIGKILL")))
  if ((yield* Effect.promise(() => alone.ended)) !== 0) throw new Error(alone.stderr())
  const [expected, found] = [partsOf(join(folder, "alone")), partsOf(join(folder, "shared"))]
  const different = Object.keys({ ...expected, ...found }).filter((part) => expected[part] !== found[part])
  const lines = manifestLines(join(folder, "shared"))
  say(`${((Date.now() - began) / 60_000).toFixed(1)} minutes; ${pool.runners.length} processes, ${ended.filter((end) => end === 0).length} ended with 0; ${Object.keys(expected).length} parts; different or missing: ${different.length}; done more than once: ${lines.length - new Set(lines).size}`)
  if (different.length > 0 || strange.length > 0 || struck.length < blows) process.exitCode = 1
  if (struck.length < blows) say(`the work was done before ${blows} blows`)
})

await Effect.runPromise(Effect.scoped(soak))

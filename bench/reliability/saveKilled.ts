/**
 * Kills a process at every operation of one save, one process each, and looks at what can be loaded afterwards: the
 * checkpoint before, or the new one where its rename had happened; then the next save must succeed and leave no trash.
 *
 *     node bench/reliability/saveKilled.ts
 */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Checkpoint, Disk } from "../../src/io/index.ts"
import { killingDisk } from "./killingDisk.ts"

const tensor = (step: number) => ({ name: "weight", shape: [64, 64], data: new Float32Array(4096).fill(step) })
const contents = (step: number): Checkpoint.Contents =>
  ({ step, configuration: {}, sections: { model: [tensor(step)], ema: [tensor(step)], optimizer: [tensor(step)] } })

const save = (run: string, step: number, killAt: number) =>
  Effect.runPromise(Effect.provideService(Checkpoint.write(run, contents(step), { keep: 1 }), Disk, killingDisk(killAt)))

/** The step of what loads, every section read and compared. */
const loaded = (run: string) =>
  Effect.runPromise(Effect.gen(function*() {
    const checkpoint = yield* Checkpoint.read(run)
    for (const name of ["model", "ema", "optimizer"]) {
      const { data } = (yield* checkpoint.section(name)).get("weight")!
      if (!data.every((x) => x === checkpoint.step)) throw new Error(`section ${name} of step ${checkpoint.step} holds other numbers`)
    }
    return checkpoint.step
  }))

const all = async (): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), "elf-save-"))
  const outcomes = { operations: 0, before: 0, after: 0 }
  for (let at = 0;; at++) {
    const run = join(folder, String(at))
    mkdirSync(run)
    await save(run, 1, -1)
    const { signal, status, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), run, String(at)], { encoding: "utf8" })
    if (status === 0) break
    if (signal !== "SIGKILL") throw new Error(`operation ${at}: ended with ${status}: ${stderr}`)
    outcomes.operations++
    if (await loaded(run) === 1) outcomes.before++
    else outcomes.after++
    await save(run, 3, -1)
    if (await loaded(run) !== 3) throw new Error(`operation ${at}: the next save is not what loads`)
    const left = readdirSync(run).sort().join(" ")
    if (left !== "latest step-00000003") throw new Error(`operation ${at}: ${left}`)
  }
  process.stdout.write(`${JSON.stringify(outcomes)}\n`)
  rmSync(folder, { recursive: true })
}

const [run, at] = process.argv.slice(2)
if (run === undefined) await all()
else await save(run, 2, Number(at))

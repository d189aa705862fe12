/** Training: each network by `elf train`, in a process of its own; one that is finished stays, one that was begun goes on. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { elf } from "../elf.ts"
import { checkpoints, type LatentStatistics, runFile, stepsOf, type Trained } from "./variants.ts"

const stepFolders = (folder: string): ReadonlyArray<string> => existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith("step-")) : []

/** Whether a network has all its steps. */
export const isTrained = (trained: Trained, steps: number): boolean =>
  stepFolders(checkpoints(trained)).includes(`step-${String(stepsOf(trained, steps)).padStart(8, "0")}`)

/** Trains a network to its last step. */
export const train = (trained: Trained, steps: number, withoutContext: LatentStatistics): void => {
  if (isTrained(trained, steps)) return
  const target = checkpoints(trained)
  const file = `${target}.json`
  mkdirSync(target, { recursive: true })
  writeFileSync(file, JSON.stringify(runFile(trained, steps, withoutContext), null, 2))
  const resume = stepFolders(target).length > 0 ? ["--resume"] : []
  const started = performance.now()
  const status = elf(["train", file, ...resume])
  if (status !== 0) throw new Error(`${trained.variant}, seed ${trained.seed}, failed: exit code ${status}`)
  process.stderr.write(`${trained.variant}, seed ${trained.seed}: ${((performance.now() - started) / 1000).toFixed(0)} s\n`)
}

/**
 * Distils the small network that ships once for each seed, as `runs/sotu-few-step.yaml` says.
 *
 *     npm run corpus && node bench/results/distil.ts 0 1 2
 *
 * Students come to `out/sotu-few-step/seed-N/round-…`; one that is there already is left as it is.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { parse } from "yaml"
import { elf, root } from "./elf.ts"

const out = join(root, "out/sotu-few-step")

interface RunFile {
  readonly data: { readonly train: string }
  readonly encoder: { readonly path: string }
  readonly distillation: { readonly teacher: string; readonly directory: string }
}

/** The run with a seed and a folder of its own, its paths made absolute. */
const seeded = (run: RunFile, seed: number) => {
  const absolute = (path: string): string => resolve(root, "runs", path)
  return {
    ...run,
    seed,
    data: { ...run.data, train: absolute(run.data.train) },
    encoder: { ...run.encoder, path: absolute(run.encoder.path) },
    distillation: { ...run.distillation, teacher: absolute(run.distillation.teacher), directory: join(out, `seed-${seed}`) }
  }
}

const run = parse(readFileSync(join(root, "runs/sotu-few-step.yaml"), "utf8")) as RunFile
mkdirSync(out, { recursive: true })
for (const seed of process.argv.slice(2).map(Number)) {
  const file = join(out, `seed-${seed}.json`)
  writeFileSync(file, JSON.stringify(seeded(run, seed), null, 2))
  const status = elf(["distill", file, "--resume"])
  if (status !== 0) process.exit(status)
}

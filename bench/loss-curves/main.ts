/**
 * Trains one small configuration with the reference and with this library on the same rows, and compares the losses:
 * `npm run loss-curves -- --checkout DIR [--python PATH]`, DIR being `src` of the reference's branch `pytorch_elf`.
 *
 * Each side trains once a seed, with its own initial weights and its own noise. A run that is there already is kept, so
 * that an interrupted comparison goes on; `--fresh` makes all of them again. Needs `npm run corpus` first.
 */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { compare } from "./compare.ts"
import { prepare } from "./prepare.ts"
import { settings, type Side, sides } from "./settings.ts"

const here = fileURLToPath(new URL(".", import.meta.url))
const folder = fileURLToPath(new URL("../../out/loss-curves", import.meta.url))
const data = join(folder, "data")

const { values: { checkout, fresh, python } } = parseArgs({
  options: { checkout: { type: "string" }, python: { type: "string", default: "python3" }, fresh: { type: "boolean", default: false } }
})

const programs = (seed: number, out: string): Readonly<Record<Side, readonly [string, ReadonlyArray<string>]>> => ({
  reference: [python, [join(here, "reference.py"), checkout!, data, String(seed), out]],
  ours: [process.execPath, [join(here, "ours.ts"), data, String(seed), out]]
})

/** One run; its losses appear under their name when it is done. */
const run = (side: Side, seed: number): void => {
  const path = join(folder, `${side}-${seed}.jsonl`)
  if (existsSync(path)) return
  const [program, parameters] = programs(seed, `${path}.part`)[side]
  const start = performance.now()
  const { error, status } = spawnSync(program, parameters, { stdio: "inherit" })
  if (status !== 0) throw new Error(`${side}, seed ${seed}, failed: ${error?.message ?? `exit code ${status}`}`)
  renameSync(`${path}.part`, path)
  process.stderr.write(`${side}, seed ${seed}: ${((performance.now() - start) / 1000).toFixed(0)} s\n`)
}

if (checkout === undefined) throw new Error("name the reference's folder src: --checkout DIR")
if (fresh) rmSync(folder, { recursive: true, force: true })
mkdirSync(data, { recursive: true })
if (!existsSync(join(data, "rows.safetensors"))) {
  const unknown = await Effect.runPromise(prepare(data))
  process.stderr.write(`rows written; ${(100 * unknown).toFixed(1)} % of the tokens are <unk>\n`)
}
for (const seed of settings.seeds) for (const side of sides) run(side, seed)
process.stdout.write(compare(folder))

/**
 * This library beside the reference's own code, on one machine and in turns:
 * `npm run bench:compare -- --checkout DIR --python PATH [--jax-checkout DIR --jax-python PATH] [mid|elfb|tiny|JSON] [JSON] [--json]`.
 *
 * `--checkout` is the reference's PyTorch repository, `--python` a Python that has its dependencies; the other two are the
 * same for JAX. PyTorch is timed twice, each time after this library, so that a machine that slows down slows both.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { configurationOf } from "./configuration.ts"
import type { Timing } from "./timing.ts"

/** What all three programs print; a reference that cannot do a thing leaves it out. */
interface Measured {
  readonly engine: string
  readonly train_step: Timing
  readonly optimizer_step_only?: Timing
  readonly forward_denoise_nograd?: Timing
  readonly forward_decode_nograd?: Timing
  readonly sample_sde_plus_decode: Timing
  readonly train_max_rss_mb: number
  readonly max_rss_mb: number
}

interface Runs {
  readonly name: string
  readonly runs: ReadonlyArray<Measured>
}

/** Runs a program to its end; the last line of its output is JSON. Its complaints go to the terminal. */
const measured = (program: string, parameters: ReadonlyArray<string>): Measured => {
  const { error, status, stdout } = spawnSync(program, [...parameters], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 1 << 26 })
  if (error !== undefined || status !== 0) throw new Error(`${program} ${parameters[0]} failed: ${error?.message ?? `exit code ${status}`}`)
  return JSON.parse(stdout.trim().split("\n").at(-1)!) as Measured
}

/** The least over all runs: other work on the machine can only make them longer. */
const least = (runs: ReadonlyArray<Measured>, of: (run: Measured) => number | undefined): number | undefined => {
  const values = runs.map(of).filter((value) => value !== undefined)
  return values.length === 0 ? undefined : Math.min(...values)
}

const figures: ReadonlyArray<readonly [name: string, unit: "ms" | "MB", of: (run: Measured) => number | undefined]> = [
  // A step of all decoder rows costs something else than one of none: their mean is what a run sees.
  ["train step, mean", "ms", (run) => run.train_step.mean_s],
  ["train step, median", "ms", (run) => run.train_step.median_s],
  ["optimiser alone", "ms", (run) => run.optimizer_step_only?.median_s],
  ["forward, prediction", "ms", (run) => run.forward_denoise_nograd?.median_s],
  ["forward, logits", "ms", (run) => run.forward_decode_nograd?.median_s],
  ["sampling and decoding", "ms", (run) => run.sample_sde_plus_decode.median_s],
  ["peak memory, training", "MB", (run) => run.train_max_rss_mb],
  ["peak memory, all", "MB", (run) => run.max_rss_mb]
]

const shown = (value: number | undefined, unit: "ms" | "MB"): string =>
  value === undefined ? "–" : unit === "ms" ? `${(1000 * value).toFixed(1)} ms` : `${value} MB`

/** How many times ours the reference needs: above 1, this library is better. */
const ratio = (theirs: number | undefined, ours: number | undefined): string =>
  theirs === undefined || ours === undefined ? "" : `${(theirs / ours).toFixed(2)} ×`

const table = (ours: Runs, references: ReadonlyArray<Runs>): string => {
  const line = (...cells: ReadonlyArray<string>) => cells.map((cell, i) => i === 0 ? cell.padEnd(24) : cell.padStart(14)).join("")
  return [
    ...[ours, ...references].map(({ name, runs }) => `${name}: ${runs[0]!.engine}, least of ${runs.length} run${runs.length === 1 ? "" : "s"}`),
    line("", ours.name, ...references.flatMap(({ name }) => [name, "ratio"])),
    ...figures.map(([name, unit, of]) => {
      const own = least(ours.runs, of)
      return line(name, shown(own, unit), ...references.flatMap(({ runs }) => [shown(least(runs, of), unit), ratio(least(runs, of), own)]))
    }),
    ""
  ].join("\n")
}

const request = () => {
  const text = { type: "string" } as const
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { checkout: text, python: text, "jax-checkout": text, "jax-python": text, json: { type: "boolean", default: false } }
  })
  const { checkout, python, "jax-checkout": jaxCheckout, "jax-python": jaxPython, json } = values
  if (checkout === undefined || python === undefined || (jaxCheckout === undefined) !== (jaxPython === undefined)) {
    throw new Error("Usage: npm run bench:compare -- --checkout DIR --python PATH [--jax-checkout DIR --jax-python PATH] [mid|elfb|tiny|JSON] [JSON] [--json]")
  }
  const jax = jaxCheckout === undefined || jaxPython === undefined ? undefined : { checkout: jaxCheckout, python: jaxPython }
  return { configuration: configurationOf(positionals), torch: { checkout, python }, jax, json }
}

const compare = ({ configuration, jax, json, torch }: ReturnType<typeof request>): string => {
  const here = import.meta.dirname
  const parameters = JSON.stringify(configuration)
  const ours = () => measured(process.execPath, [join(here, "main.ts"), parameters, "--json"])
  const reference = (script: string, { checkout, python }: typeof torch) => measured(python, [join(here, script), checkout, parameters])
  const rounds = [1, 2].map(() => ({ ours: ours(), torch: reference("reference_torch.py", torch) }))
  const own = { name: "elf-streams", runs: rounds.map((round) => round.ours) }
  const references = [
    { name: "PyTorch", runs: rounds.map((round) => round.torch) },
    ...(jax === undefined ? [] : [{ name: "JAX", runs: [reference("reference_jax.py", jax)] }])
  ]
  return json ? `${JSON.stringify([own, ...references])}\n` : table(own, references)
}

try {
  process.stdout.write(compare(request()))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

/**
 * This library beside the reference's own code, on one machine and in turns:
 * `npm run bench:compare -- --checkout DIR --python PATH [--jax-checkout DIR --jax-python PATH] [mid|elfb|tiny|JSON] [JSON]
 * [--rounds N] [--timeout SECONDS] [--json]`.
 *
 * `--checkout` is the reference's PyTorch repository, `--python` a Python that has its dependencies; the other two are the
 * same for JAX. A round runs this library, then each reference, so that a machine that slows down slows all. The table so
 * far follows every round, on standard error; a program that fails or takes longer than `--timeout` (900) is left out of its
 * round, and the others go on.
 */
import { spawn } from "node:child_process"
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

/** A program that prints a measurement. */
interface Program {
  readonly name: string
  readonly path: string
  readonly parameters: ReadonlyArray<string>
}

interface Runs {
  readonly name: string
  readonly runs: ReadonlyArray<Measured>
}

const say = (text: string): void => void process.stderr.write(text)

/** Runs a program to its end; the last line of its output is JSON. Its complaints go to the terminal. */
const run = (program: string, parameters: ReadonlyArray<string>, seconds: number) =>
  new Promise<Measured>((resolve, reject) => {
    const child = spawn(program, parameters, { stdio: ["ignore", "pipe", "inherit"], timeout: 1000 * seconds, killSignal: "SIGKILL" })
    let output = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => { output += text })
    child.once("error", reject)
    child.once("close", (code, signal) => {
      if (code !== 0) return reject(new Error(signal === null ? `exit code ${code}` : `ended by ${signal} after at most ${seconds} s`))
      resolve(JSON.parse(output.trim().split("\n").at(-1)!) as Measured)
    })
  })

/** Runs one program and says so meanwhile; nothing comes of one that fails but a line. */
const measured = async (title: string, program: Program, seconds: number): Promise<ReadonlyArray<Measured>> => {
  const start = performance.now()
  const elapsed = () => `${Math.round((performance.now() - start) / 1000)} s`
  say(`${title}: started\n`)
  const clock = setInterval(() => say(`${title}: running for ${elapsed()}\n`), 30_000)
  try {
    const figures = await run(program.path, program.parameters, seconds)
    say(`${title}: done in ${elapsed()}, a training step ${shown(figures.train_step.median_s, "ms")}, a sample ${shown(figures.sample_sde_plus_decode.median_s, "ms")}\n`)
    return [figures]
  } catch (error) {
    say(`${title}: FAILED, ${error instanceof Error ? error.message : String(error)}; the others go on\n`)
    return []
  } finally {
    clearInterval(clock)
  }
}

/** The least over all runs: other work on the machine can only make them longer. */
const least = (runs: ReadonlyArray<Measured>, of: (run: Measured) => number | undefined): number | undefined => {
  const values = runs.map(of).filter((value) => value !== undefined)
  return values.length === 0 ? undefined : Math.min(...values)
}

const processorSeconds = ({ cpu_over_wall: share, mean_s: mean }: Timing): number | undefined => share === undefined ? undefined : share * mean

const figures: ReadonlyArray<readonly [name: string, unit: "ms" | "MB", of: (run: Measured) => number | undefined]> = [
  // A step of all decoder rows costs something else than one of none: their mean is what a run sees.
  ["train step, mean", "ms", (run) => run.train_step.mean_s],
  ["train step, median", "ms", (run) => run.train_step.median_s],
  ["optimiser alone", "ms", (run) => run.optimizer_step_only?.median_s],
  ["forward, prediction", "ms", (run) => run.forward_denoise_nograd?.median_s],
  ["forward, logits", "ms", (run) => run.forward_decode_nograd?.median_s],
  ["sampling and decoding", "ms", (run) => run.sample_sde_plus_decode.median_s],
  // What other programs take from this machine lengthens the wall clock, and hardly these.
  ["train step, processor", "ms", (run) => processorSeconds(run.train_step)],
  ["sampling, processor", "ms", (run) => processorSeconds(run.sample_sde_plus_decode)],
  ["peak memory, training", "MB", (run) => run.train_max_rss_mb],
  ["peak memory, all", "MB", (run) => run.max_rss_mb]
]

const shown = (value: number | undefined, unit: "ms" | "MB"): string =>
  value === undefined ? "–" : unit === "ms" ? `${(1000 * value).toFixed(1)} ms` : `${value} MB`

/** How many times ours the reference needs: above 1, this library is better. */
const ratio = (theirs: number | undefined, ours: number | undefined): string =>
  theirs === undefined || ours === undefined ? "" : `${(theirs / ours).toFixed(2)} ×`

const table = ([ours, ...references]: ReadonlyArray<Runs>): string => {
  const line = (...cells: ReadonlyArray<string>) => cells.map((cell, i) => i === 0 ? cell.padEnd(24) : cell.padStart(14)).join("")
  const all = [ours!, ...references]
  return [
    ...all.map(({ name, runs }) => `${name}: ${runs[0]?.engine ?? "no run that ended"}, least of ${runs.length} run${runs.length === 1 ? "" : "s"}`),
    line("", ours!.name, ...references.flatMap(({ name }) => [name, "ratio"])),
    ...figures.map(([name, unit, of]) => {
      const own = least(ours!.runs, of)
      return line(name, shown(own, unit), ...references.flatMap(({ runs }) => [shown(least(runs, of), unit), ratio(least(runs, of), own)]))
    }),
    ""
  ].join("\n")
}

const usage = "Usage: npm run bench:compare -- --checkout DIR --python PATH [--jax-checkout DIR --jax-python PATH] [mid|elfb|tiny|JSON] [JSON] [--rounds N] [--timeout SECONDS] [--json]"

const positive = (name: string, text: string): number => {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${name} takes a whole number ≥ 1, not "${text}". ${usage}`)
  return Number(text)
}

const request = () => {
  const text = { type: "string" } as const
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      checkout: text, python: text, "jax-checkout": text, "jax-python": text,
      rounds: { ...text, default: "2" }, timeout: { ...text, default: "900" }, json: { type: "boolean", default: false }
    }
  })
  const { checkout, json, python, rounds, timeout, "jax-checkout": jaxCheckout, "jax-python": jaxPython } = values
  if (checkout === undefined || python === undefined || (jaxCheckout === undefined) !== (jaxPython === undefined)) throw new Error(usage)
  const parameters = JSON.stringify(configurationOf(positionals))
  const here = import.meta.dirname
  const programs: ReadonlyArray<Program> = [
    { name: "elf-streams", path: process.execPath, parameters: [join(here, "main.ts"), parameters, "--json"] },
    { name: "PyTorch", path: python, parameters: [join(here, "reference_torch.py"), checkout, parameters] },
    ...(jaxPython === undefined || jaxCheckout === undefined ? [] : [{ name: "JAX", path: jaxPython, parameters: [join(here, "reference_jax.py"), jaxCheckout, parameters] }])
  ]
  return { programs, rounds: positive("rounds", rounds), seconds: positive("timeout", timeout), json }
}

const compare = async ({ json, programs, rounds, seconds }: ReturnType<typeof request>): Promise<string> => {
  const results = programs.map(({ name }) => ({ name, runs: [] as Array<Measured> }))
  for (let round = 1; round <= rounds; round++) {
    for (const [i, program] of programs.entries()) results[i]!.runs.push(...await measured(`${program.name}, round ${round} of ${rounds}`, program, seconds))
    if (round < rounds) say(`\n${table(results)}\n`)
  }
  if (results.some(({ runs }) => runs.length === 0)) process.exitCode = 1
  return json ? `${JSON.stringify(results)}\n` : table(results)
}

try {
  process.stdout.write(await compare(request()))
} catch (error) {
  say(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

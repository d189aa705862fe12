/**
 * Judges the students of `distil.ts` and their teacher at as many steps, and prints the table of docs/results.md.
 *
 *     node bench/results/distil.ts 0 1 2 && node bench/results/fewSteps.ts 0 1 2
 *
 * Each point is an `elf eval` (64 texts, ODE, uniform grid, Kneser–Ney 3-grams of the corpus as the judge), which starts
 * where it stopped; reports come to `out/eval/few-steps`.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { elf, root } from "./elf.ts"
import { eachOf, spread, table } from "./markdown.ts"

const seeds = process.argv.slice(2).map(Number)
const steps = [1, 2, 4, 8, 16]

interface Point {
  readonly perplexity: number
  readonly entropy: number
}

/** `elf eval` of one checkpoint with one seed and the given numbers of steps; → its points, in that order. */
const evaluate = (checkpoint: string, seed: number, steps: ReadonlyArray<number>, name: string): ReadonlyArray<Point> => {
  const output = join(root, "out/eval/few-steps", name)
  const status = elf([
    "eval", checkpoint, "--scorer-corpus", join(root, "out/corpus/train.parquet"), "--order", "3", "--count", "64",
    "--solver", "ode", "--time-grid", "uniform", "--steps", steps.join(","), "--seed", String(seed), "--output", output
  ], ["ignore", "ignore", "inherit"])
  if (status !== 0) throw new Error(`elf eval ${checkpoint} ended with ${status}`)
  return (JSON.parse(readFileSync(join(output, "report.json"), "utf8")) as { readonly points: ReadonlyArray<Point> }).points
}

/** The folder of the round that ends with a student of `steps` steps. */
const student = (seed: number, steps: number): string => {
  const folder = join(root, `out/sotu-few-step/seed-${seed}`)
  const round = existsSync(folder) ? readdirSync(folder).find((name) => name.endsWith(`-steps-${steps}`)) : undefined
  if (round === undefined) throw new Error(`${folder} has no student of ${steps} steps: run bench/results/distil.ts ${seed} first`)
  return join(folder, round)
}

const perplexity = (point: Point): number => point.perplexity
const entropy = (point: Point): number => point.entropy
const cells = (points: ReadonlyArray<Point>): ReadonlyArray<string> => [spread(points.map(perplexity), 0), spread(points.map(entropy), 2)]

if (seeds.length === 0) throw new Error("Usage: node bench/results/fewSteps.ts SEED…")
const teacher = seeds.map((seed) => evaluate(join(root, "models/elf-sotu"), seed, steps, `teacher-${seed}`))
const rows = steps.map((count, i) => {
  const students = seeds.map((seed) => evaluate(student(seed, count), seed, [count], `student-${seed}-${count}`)[0]!)
  return [String(count), ...cells(teacher.map((points) => points[i]!)), ...cells(students), eachOf(students.map(perplexity))]
})
process.stdout.write(table(["steps", "teacher: perplexity", "entropy", "student: perplexity", "entropy", "student, seed by seed"], rows))

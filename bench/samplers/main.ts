/**
 * Quality against evaluations of the network, for each sampler: `npm run bench:samplers`.
 *
 *     npm run bench:samplers -- [--checkpoint models/elf-sotu] [--count 32] [--seeds 0,1,2] [--evaluations 4,8,16,32,64]
 *                               [--only "NAME;NAME"] [--fresh] [--report]
 *
 * Writes texts from noise with the checkpoint's own guidance and time grid, and prints for each sampler the perplexity
 * under a Kneser–Ney model of the corpus's 3-grams, and the entropy of the tokens beside it. Needs `npm run corpus` first.
 * The texts are kept in `out/samplers`, so that an interrupted run goes on; `--report` prints what there is.
 */
import { Effect, Stream } from "effect"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Samplers } from "../../src/flow/index.ts"
import { Parquet } from "../../src/io/index.ts"
import { Entropy, KneserNey, Perplexity } from "../../src/metrics/index.ts"
import { Backend } from "../../src/model/Backend.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import * as Pretrained from "../../src/run/Pretrained.ts"
import { infillOptions, samplerChoice, type SamplerChoice } from "../../src/run/sampling.ts"
import { pack, Template, tokenize } from "../../src/streams/index.ts"
import { generatePlan } from "../../src/streams/generatePlan.ts"
import { fillTemplates } from "../../src/streams/infill.ts"
import { type Cell, report } from "./report.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const folder = join(root, "out", "samplers")

const { values } = parseArgs({
  options: {
    checkpoint: { type: "string", default: join(root, "models", "elf-sotu") },
    count: { type: "string", default: "32" },
    seeds: { type: "string", default: "0,1,2" },
    evaluations: { type: "string", default: "4,8,16,32,64" },
    only: { type: "string" },
    fresh: { type: "boolean", default: false },
    report: { type: "boolean", default: false }
  }
})

const numbers = (list: string): ReadonlyArray<number> => list.split(",").map(Number)

type Change = Partial<SamplerChoice> & Samplers.SolverChoice

/** What is compared, by the name of its row in the table; `gamma` and `churn` have the unit 1/time. */
const samplers: Readonly<Record<string, Change>> = {
  "ode": { solver: "ode", gamma: 0 },
  "sde, γ 1": { solver: "sde", gamma: 1 },
  "heun": { solver: "heun", gamma: 0 },
  "midpoint": { solver: "midpoint", gamma: 0 },
  "ab2": { solver: "ab2", gamma: 0 },
  "ode, churn 10": { solver: "ode", gamma: 0, churn: 10 },
  "heun, churn 10": { solver: "heun", gamma: 0, churn: 10 },
  "ode, logit-normal grid": { solver: "ode", gamma: 0, timeGrid: "logitNormal" },
  "sde, γ 1, logit-normal grid": { solver: "sde", gamma: 1, timeGrid: "logitNormal" },
  "ab2, logit-normal grid": { solver: "ab2", gamma: 0, timeGrid: "logitNormal" }
}

/** Early stopping, at the largest number of evaluations. */
const windows: Readonly<Record<string, Change>> = {
  "sde, γ 1, stable 1": { solver: "sde", gamma: 1, stopWhenStable: 1 },
  "sde, γ 1, stable 2": { solver: "sde", gamma: 1, stopWhenStable: 2 },
  "sde, γ 1, stable 4": { solver: "sde", gamma: 1, stopWhenStable: 4 }
}

interface Task {
  readonly name: string
  readonly change: Change
  readonly evaluations: number
  readonly seed: number
}

const tasks = (): ReadonlyArray<Task> => {
  const [seeds, budgets] = [numbers(values.seeds), numbers(values.evaluations)]
  const chosen = values.only?.split(";")
  const wanted = (name: string) => chosen === undefined || chosen.includes(name)
  const cells = (of: Readonly<Record<string, Change>>, evaluations: ReadonlyArray<number>) =>
    Object.entries(of).filter(([name]) => wanted(name)).flatMap(([name, change]) => evaluations.map((budget) => ({ name, change, evaluations: budget })))
  // The cheap ones first, so that an interrupted run has whole columns.
  return [...cells(samplers, budgets).sort((a, b) => a.evaluations - b.evaluations), ...cells(windows, [Math.max(...budgets)])]
    .flatMap((cell) => seeds.map((seed) => ({ ...cell, seed })))
}

const corpus = Effect.fnUntraced(function*(name: string) {
  return yield* Parquet.read(join(root, "out", "corpus", `${name}.parquet`), { column: "text" }).pipe(tokenize, Stream.runCollect)
})

/** Held-out text in rows of the network's length. */
const heldOutRows = Effect.fnUntraced(function*(length: number) {
  const { endOfSequenceId, padId } = yield* Tokenizer
  const rows = yield* Stream.fromIterable(yield* corpus("held-out")).pipe(pack({ length, endOfSequenceId, padId }), Stream.runCollect)
  return rows.filter((row) => row.length === length).map(({ ids }) => ids.filter((id) => id !== endOfSequenceId))
})

/** A 3-gram sees three tokens at a time: it tells broken text from fluent text, and no more. */
const scorerOf = Effect.fnUntraced(function*(documents: ReadonlyArray<Int32Array>) {
  const { endOfSequenceId, vocabularySize } = yield* Tokenizer
  const tokens = documents.flatMap((ids) => [...ids, endOfSequenceId])
  return KneserNey.model(KneserNey.count(tokens, { order: 3, vocabulary: vocabularySize }))
})

const judge = (scorer: KneserNey.NgramModel, texts: ReadonlyArray<Int32Array>) => ({
  perplexity: Perplexity.perplexity(texts.map((ids) => Perplexity.surprisal(scorer.losses(ids), new Uint8Array(ids.length).fill(1)))),
  entropy: Entropy.mean(texts)
})

/** What a task writes, and what it took. */
interface Written extends Omit<Cell, "perplexity" | "entropy"> {
  readonly texts: ReadonlyArray<string>
  readonly seconds: number
}

const write = Effect.fnUntraced(function*(run: Pretrained.Pretrained["run"], { change, evaluations, name, seed }: Task) {
  const choice = samplerChoice(run, { ...change, seed, steps: Samplers.stepsWithin(change, evaluations), length: run.model.length })
  const templates = Array.from({ length: Number(values.count) }, (_, key) => ({ ...Template.blank(0), key }))
  const started = performance.now()
  const filled = yield* fillTemplates(templates, 0, generatePlan(infillOptions(run, choice, 32)))
  const taken = filled.map(({ settledAt }) => settledAt < 0 ? choice.steps : settledAt + 1)
  return {
    name,
    budget: evaluations,
    seed,
    texts: filled.map(({ answer }) => answer),
    evaluations: Samplers.solverOf(change).evaluations(choice.steps),
    stepsTaken: taken.reduce((a, b) => a + b) / taken.length,
    settled: filled.filter(({ settledAt }) => settledAt >= 0).length / filled.length,
    seconds: (performance.now() - started) / 1000
  } satisfies Written
})

const pathOf = ({ evaluations, name, seed }: Task): string => join(folder, `${name.replaceAll(/[^a-zγ0-9]+/g, "-")}-${evaluations}-${seed}.texts.json`)

const program = Effect.gen(function*() {
  const { layer, run } = yield* Pretrained.open(values.checkpoint)
  yield* Effect.gen(function*() {
    const { encodeBatch } = yield* Tokenizer
    const scorer = yield* scorerOf(yield* corpus("train"))
    const heldOut = yield* heldOutRows(run.model.length)
    const cells: Array<Cell> = []
    const all = tasks()
    for (const [i, task] of all.entries()) {
      const path = pathOf(task)
      if (!existsSync(path) && values.report) continue
      if (!existsSync(path)) {
        const written = yield* write(run, task)
        writeFileSync(path, JSON.stringify(written))
        process.stderr.write(`${i + 1}/${all.length}  ${task.name}, ${task.evaluations} evaluations, seed ${task.seed}: ${written.seconds.toFixed(0)} s\n`)
      }
      const written = JSON.parse(readFileSync(path, "utf8")) as Written
      cells.push({ ...written, ...judge(scorer, yield* encodeBatch(written.texts)) })
    }
    process.stdout.write(report(cells, judge(scorer, heldOut)))
  }).pipe(Effect.provide(layer))
})

if (values.fresh) rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
await Effect.runPromise(program.pipe(Effect.provide(Backend.layer)))

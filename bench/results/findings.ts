/**
 * Three findings of the paper, small: networks of a few minutes, three training seeds each, on the State of the Union.
 *
 *     npm run corpus && node bench/results/findings.ts [--seeds 0,1,2] [--only base,larger] [--steps N] [--train] [--report]
 *
 * Trains what is not trained, writes and judges what is not written, and prints a table; the plot comes to
 * `out/findings/findings.svg`. Stopped at any time, it goes on. `--train` trains only, `--report` prints what there is.
 */
import { Effect } from "effect"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Backend } from "../../src/model/Backend.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import * as Pretrained from "../../src/run/Pretrained.ts"
import { judge } from "./findings/judge.ts"
import { measureLosses } from "./findings/losses.ts"
import { plot, report } from "./findings/report.ts"
import { makeTokenTable } from "./findings/tokenTable.ts"
import { isTrained, train } from "./findings/train.ts"
import { checkpoints, folder, type Trained, type VariantName, variants } from "./findings/variants.ts"
import { type Point, pointsOf, textsFile, write } from "./findings/write.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "0,1,2" },
    only: { type: "string", default: Object.keys(variants).join(",") },
    steps: { type: "string", default: "400" },
    train: { type: "boolean", default: false },
    report: { type: "boolean", default: false }
  }
})

const seeds = values.seeds.split(",").map(Number)
const steps = Number(values.steps)
const wanted = values.only.split(",") as ReadonlyArray<VariantName>

/** All variants of a seed before the next seed: what there is when a run is stopped compares. */
const networks = seeds.flatMap((seed) => wanted.map((variant): Trained => ({ variant, seed })))

const trainAll = Effect.gen(function*() {
  const statistics = yield* makeTokenTable()
  for (const trained of networks) train(trained, steps, statistics)
})

const writeSeed = Effect.fnUntraced(function*(seed: number) {
  const ready = (Object.keys(variants) as Array<VariantName>).filter((variant) => isTrained({ variant, seed }, steps))
  const opened = new Map<VariantName, Pretrained.Pretrained>()
  for (const variant of ready) opened.set(variant, yield* Pretrained.open(checkpoints({ variant, seed })))
  for (const [variant, network] of opened) yield* measureLosses({ variant, seed }, network)
  const points = pointsOf(seed).filter(({ decoder, sampler }) => opened.has(decoder) && opened.has(sampler))
  for (const same of Map.groupBy(points, ({ sampler, scale, solver, steps }) => [sampler, solver, steps, scale].join()).values()) {
    yield* write(same, (variant) => opened.get(variant)!)
  }
})

const print = Effect.gen(function*() {
  const written: ReadonlyArray<Point> = seeds.flatMap(pointsOf).filter((point) => existsSync(textsFile(point)))
  const judged = yield* judge(written)
  writeFileSync(join(folder, "findings.json"), JSON.stringify(judged, null, 2))
  writeFileSync(join(folder, "findings.svg"), plot(judged))
  process.stdout.write(report(judged, seeds))
})

mkdirSync(folder, { recursive: true })
const program = Effect.gen(function*() {
  if (!values.report) yield* trainAll
  if (values.train) return
  if (!values.report) yield* Effect.forEach(seeds, writeSeed)
  yield* print
})
await Effect.runPromise(program.pipe(Effect.provide([Backend.layer, Tokenizer.layer])))

/**
 * The main job: trains a small network on the State of the Union addresses, writes texts with the shipped one, and
 * answers a parquet file of prompts.
 *
 *     npm start
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Effect, Layer, Stream } from "effect"
import { rmSync } from "node:fs"
import { basename } from "node:path"
import { fileURLToPath } from "node:url"
import { loggerLayer, reportFailure } from "../src/cli/failure.ts"
import { print } from "../src/cli/print.ts"
import { duration, readable } from "../src/cli/progress.ts"
import { sampleTexts } from "../src/cli/sampleTexts.ts"
import { trainRun } from "../src/cli/trainRun.ts"
import { Parquet, RunConfig } from "../src/io/index.ts"
import { Backend } from "../src/model/Backend.ts"
import * as Inference from "../src/run/inference/index.ts"
import type { Texts } from "../src/streams/decode.ts"
import { build, dataFolder, readAddresses } from "./corpus.ts"

const here = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url))
const folders = { corpus: here("out/corpus"), run: here("out/first-run"), answers: here("out/answers"), checkpoint: here("models/elf-sotu") }

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim()
const heading = (text: string) => print(`\n── ${text} ${"─".repeat(Math.max(0, 76 - text.length))}`)

/** Every fourth state of the first text: how it emerges. */
const showState = ({ step, texts }: Texts): Effect.Effect<void> =>
  step.index % 4 === 3 ? print(`t ${step.tNext.toFixed(3)}  ${oneLine(texts[0]!).slice(0, 110)}`) : Effect.void

const showAnswers = (file: string) =>
  Parquet.readRows(file).pipe(
    Stream.take(3),
    Stream.runForEach(({ values }) => print(`  ${oneLine(String(values["prompt"]))}\n    → ${oneLine(String(values["answer"]))}`))
  )

const program = Effect.gen(function*() {
  const started = yield* Clock.currentTimeMillis
  yield* print(`engine: ${(yield* Backend).description}`)

  yield* heading("the corpus")
  const corpus = yield* build(yield* Effect.flatMap(dataFolder, readAddresses), folders.corpus)
  yield* print(`${corpus.train} passages to train on, ${corpus.heldOut} held out, ${corpus.prompts} prompts in out/corpus`)

  yield* heading("training a small network from the beginning")
  yield* Effect.sync(() => rmSync(folders.run, { recursive: true, force: true }))
  const trained = yield* trainRun({ run: yield* RunConfig.load(here("runs/first.yaml")), resume: false })

  yield* heading("eight texts from the shipped network, and how the first one emerges")
  const sampled = yield* sampleTexts({ checkpoint: folders.checkpoint, change: { count: 8 }, watch: showState })
  yield* Effect.forEach(sampled.texts, (text, i) => print(`\n${i + 1}. ${oneLine(text)}`), { discard: true })

  yield* heading("prompts in, answers out")
  const inference = yield* Inference.open({
    task: "sample",
    checkpoint: folders.checkpoint,
    input: here("out/corpus/prompts.parquet"),
    column: "prompt",
    output: folders.answers,
    fresh: true
  })
  const answered = yield* Inference.runShard(inference, yield* Inference.shareOf(inference)).pipe(Effect.provide(inference.layer))
  const [{ part }] = inference.units as [Inference.Unit, ...ReadonlyArray<Inference.Unit>]
  yield* showAnswers(`${folders.answers}/${part}`)

  yield* heading("done")
  const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
  yield* print(`corpus      out/corpus/train.parquet, held-out.parquet, prompts.parquet`)
  yield* print(`checkpoint  out/first-run/${basename(trained.checkpoint)} after ${trained.steps} steps, ${readable(trained.tokensPerSecond)} tokens/s`)
  yield* print(`held-out    loss ${readable(trained.heldOutBefore ?? NaN)} before, ${readable(trained.heldOutAfter ?? NaN)} after`)
  yield* print(`answers     out/answers/${part}, ${answered.rows} rows, ${readable(answered.rows / answered.seconds)} rows/s`)
  yield* print(`time        ${duration(seconds)}`)
})

program.pipe(
  Effect.provide(Layer.merge(Backend.layer.pipe(Layer.provide(loggerLayer)), loggerLayer)),
  reportFailure,
  NodeRuntime.runMain({ disableErrorReporting: true })
)

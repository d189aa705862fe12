/**
 * The commands: what each is called, which options it takes, and which piece of work it hands them to.
 */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { doctor, EngineError, install } from "../engine/index.mjs"
import { RunConfig } from "../io/index.ts"
import { Backend } from "../model/Backend.ts"
import type { Texts } from "../streams/decode.ts"
import { convertCommand } from "./convertCommand.ts"
import { distillCommand } from "./distillCommand.ts"
import { inspectCommand } from "./inspectCommand.ts"
import { inferFiles, type InferSummary } from "./inferFiles.ts"
import { announceEngine, checkpoint, json, requireOption, runFile, samplerChange, samplerFlags } from "./options.ts"
import { printResult } from "./print.ts"
import { duration, readable, report } from "./progress.ts"
import { sampleTexts } from "./sampleTexts.ts"
import { trainRun } from "./trainRun.ts"
import type { TrainSummary } from "./trainSteps.ts"

/** The options of a sampler in their ranges: a wrong one is refused before anything is loaded. */
const checkSampler = (change: ReturnType<typeof samplerChange>) =>
  Effect.andThen(
    requireOption(change.steps === undefined || change.steps >= 1, "steps", "at least 1", change.steps),
    requireOption(change.gamma === undefined || change.gamma >= 0, "gamma", "at least 0", change.gamma)
  )

const doctorLines = (found: Awaited<ReturnType<typeof doctor>>): ReadonlyArray<string> => [
  `engine    ${found.engine} (${found.version})`,
  `device    ${found.device}${found.driver === null ? "" : `, NVIDIA driver ${found.driver}`}`,
  `threads   ${found.threads}`,
  `node      ${found.node}`,
  `platform  ${found.platform}`,
  `cache     ${found.cache}`,
  ...found.missing.flatMap(({ remedy, what, why }) => [`missing   ${what}: ${why}`, `          ${remedy}`])
]

const doctorCommand = Command.make("doctor", { json }, ({ json }) =>
  Effect.flatMap(Effect.promise(() => doctor()), (found) => printResult(json, found, doctorLines))
).pipe(Command.withDescription("Say which tensor engine runs here, and how to mend what is missing"))

/** An {@link EngineError} as an Effect failure. */
const installEngine = (options: Parameters<typeof install>[0]) =>
  Effect.tryPromise({ try: () => install(options), catch: (error) => error }).pipe(
    Effect.catchIf((error) => !(error instanceof EngineError), Effect.die)
  )

const installCommand = Command.make("install", {
  gpu: Flag.Boolean("gpu").pipe(Flag.withDescription("Take the CUDA build; default where an NVIDIA driver is present"), Flag.optional),
  force: Flag.Boolean("force").pipe(Flag.withDescription("Install again"), Flag.withDefault(false)),
  libtensorflow: Flag.Path("libtensorflow").pipe(Flag.withDescription("Folder that has libtensorflow 2 and its headers"), Flag.optional),
  json
}, ({ force, gpu, json, libtensorflow }) =>
  Effect.flatMap(
    installEngine({
      force,
      show: true,
      log: (line) => process.stderr.write(`${line}\n`),
      ...(Option.isSome(gpu) ? { gpu: gpu.value } : {}),
      ...(Option.isSome(libtensorflow) ? { libtensorflow: libtensorflow.value } : {})
    }),
    (installed) => printResult(json, installed, ({ folder }) => [`The tensor engine is installed in ${folder}.`])
  )
).pipe(Command.withDescription("Install libtensorflow and its binding into the per-user cache"))

const engineCommand = Command.make("engine").pipe(Command.withDescription("The tensor engine"), Command.withSubcommands([installCommand]))

const trainLines = (summary: TrainSummary): ReadonlyArray<string> => [
  `step ${summary.steps} after ${duration(summary.seconds)} at ${readable(summary.tokensPerSecond)} tokens/s`,
  ...(summary.heldOutBefore === undefined || summary.heldOutAfter === undefined ? [] : [`held-out loss ${readable(summary.heldOutBefore)} → ${readable(summary.heldOutAfter)}`]),
  `checkpoint ${summary.checkpoint}`
]

const withSteps = (run: RunConfig.RunConfig, steps: Option.Option<number>): RunConfig.RunConfig =>
  Option.isNone(steps) ? run : { ...run, optimizer: { ...run.optimizer, steps: steps.value, warmupSteps: Math.min(run.optimizer.warmupSteps, steps.value) } }

const trainCommand = Command.make("train", {
  run: runFile,
  steps: Flag.Int("steps").pipe(Flag.withDescription("Optimiser steps, instead of the run file's"), Flag.optional),
  resume: Flag.Boolean("resume").pipe(Flag.withDescription("Go on from the run's latest checkpoint"), Flag.withDefault(false)),
  json
}, Effect.fnUntraced(function*({ json, resume, run, steps }) {
  yield* requireOption(Option.isNone(steps) || steps.value >= 1, "steps", "at least 1", Option.getOrUndefined(steps))
  const config = withSteps(yield* RunConfig.load(run), steps)
  yield* announceEngine
  yield* printResult(json, yield* trainRun({ run: config, resume }), trainLines)
})).pipe(Command.withDescription("Train a network as a run file says"), Command.provide(Backend.layer))

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim()

const showState = ({ step, texts }: Texts): Effect.Effect<void> =>
  report(`t ${step.tNext.toFixed(2)}  ${oneLine(texts[0] ?? "").slice(0, 100)}`)

const sampleCommand = Command.make("sample", {
  checkpoint,
  count: Flag.Int("count").pipe(Flag.withDescription("Texts to write"), Flag.optional),
  stream: Flag.Boolean("stream").pipe(Flag.withDescription("Show the first text as it emerges over the time steps"), Flag.withDefault(false)),
  json,
  ...samplerFlags
}, Effect.fnUntraced(function*({ checkpoint, count, json, stream, ...flags }) {
  const change = { ...samplerChange(flags), ...(Option.isSome(count) ? { count: count.value } : {}) }
  yield* checkSampler(change)
  yield* requireOption(Option.isNone(count) || count.value >= 1, "count", "at least 1", Option.getOrUndefined(count))
  yield* announceEngine
  const result = yield* sampleTexts({ checkpoint, change, ...(stream ? { watch: showState } : {}) })
  yield* printResult(json, result, ({ texts }) => texts.map((text, i) => `${i + 1}. ${oneLine(text)}`))
})).pipe(Command.withDescription("Write texts from noise"), Command.provide(Backend.layer))

const inferLines = ({ files, rows, seconds }: InferSummary): ReadonlyArray<string> => [
  ...files.map(({ output, rows }) => `${output}  ${rows} rows`),
  `${rows} rows in ${duration(seconds)}, ${readable(rows / Math.max(seconds, 1e-3))} rows/s`
]

const inferCommand = Command.make("infer", {
  checkpoint,
  input: Flag.String("input").pipe(Flag.withDescription("Parquet file, folder or pattern")),
  column: Flag.String("column").pipe(Flag.withDescription("Text column of the prompts")),
  output: Flag.Path("output").pipe(Flag.withDescription("Folder for the answers, a file for each input file")),
  batchSize: Flag.Int("batch-size").pipe(Flag.withDescription("Prompts at once; changes no answer"), Flag.withDefault(16)),
  json,
  ...samplerFlags
}, Effect.fnUntraced(function*({ batchSize, checkpoint, column, input, json, output, ...flags }) {
  const change = samplerChange(flags)
  yield* checkSampler(change)
  yield* requireOption(batchSize >= 1, "batch-size", "at least 1", batchSize)
  yield* announceEngine
  yield* printResult(json, yield* inferFiles({ checkpoint, input, column, output, batchSize, change }), inferLines)
})).pipe(Command.withDescription("Answer the prompts of parquet files, into parquet files"), Command.provide(Backend.layer))

/** `elf` with all its commands. */
export const elf = Command.make("elf").pipe(
  Command.withDescription("Embedded Language Flows: train, sample and answer"),
  Command.withSubcommands([doctorCommand, engineCommand, trainCommand, distillCommand, sampleCommand, inferCommand, inspectCommand, convertCommand])
)

/**
 * The commands: what each is called, which options it takes, and which piece of work it hands them to.
 */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { doctor, EngineError, install } from "../engine/index.mjs"
import { RunConfig } from "../io/index.ts"
import { Backend } from "../model/Backend.ts"
import { Collective } from "../model/Collective.ts"
import type { Texts } from "../streams/decode.ts"
import { jobsCommand } from "./clusterCommand.ts"
import { answerPrompts } from "./answerPrompts.ts"
import { convertCommand } from "./convertCommand.ts"
import { distillCommand } from "./distillCommand.ts"
import { checkGroup, groupFlags, inGroup } from "./group.ts"
import { inferCommand, partsCommand } from "./inferCommand.ts"
import { inspectCommand } from "./inspectCommand.ts"
import {
  announceEngine, checkpoint, checkSampler, given, json, requireOption, runFile, samplerChange, samplerFlags, trainingFlags, withDivergence
} from "./options.ts"
import { printResult } from "./print.ts"
import { duration, readable, report } from "./progress.ts"
import { sampleTexts } from "./sampleTexts.ts"
import { scoreCommand } from "./scoreCommand.ts"
import { trainRun } from "./trainRun.ts"
import type { TrainSummary } from "./trainSteps.ts"

const doctorLines = (found: Awaited<ReturnType<typeof doctor>>): ReadonlyArray<string> => [
  `engine    ${found.engine} (${found.version})`,
  `device    ${found.device}${found.driver === null ? "" : `, NVIDIA driver ${found.driver}`}`,
  `threads   ${found.threads}`,
  ...(found.engine === "tensorflow" && found.device === "cpu" ? [`kernels   ${found.kernels === null ? "TensorFlow's" : `own, ${found.kernels}`}`] : []),
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
  ...trainingFlags,
  ...groupFlags,
  json
}, Effect.fnUntraced(function*({ acceptChanges, json, onDivergence, resume, run, steps, ...group }) {
  yield* requireOption(Option.isNone(steps) || steps.value >= 1, "steps", "at least 1", Option.getOrUndefined(steps))
  const config = withDivergence(withSteps(yield* RunConfig.load(run), steps), onDivergence)
  yield* checkGroup(group, config.data.batchSize)
  const program = Effect.gen(function*() {
    const leads = (yield* Collective).rank === 0
    if (leads) yield* announceEngine
    const summary = yield* trainRun({ run: config, resume, acceptChanges })
    if (leads) yield* printResult(json, summary, trainLines)
  })
  yield* inGroup(program, group)
})).pipe(Command.withDescription("Train a network as a run file says"))

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim()

const showState = ({ step, texts }: Texts): Effect.Effect<void> =>
  report(`t ${step.tNext.toFixed(2)}  ${oneLine(texts[0] ?? "").slice(0, 100)}`)

const showCount = (count: number): Effect.Effect<void> => report(`${count} texts`)

const sampleCommand = Command.make("sample", {
  checkpoint,
  count: Flag.Int("count").pipe(Flag.withDescription("Texts to write"), Flag.optional),
  stream: Flag.Boolean("stream").pipe(Flag.withDescription("Show the first text as it emerges over the time steps"), Flag.withDefault(false)),
  infill: Flag.String("infill").pipe(
    Flag.withDescription("Text with blanks to fill, instead of one from noise: ___ is a blank of one token of the T5 vocabulary, ___{5} one of five. " +
      "A word is one to three tokens. What is given comes back token by token; --length adds a blank at the end. Example: --infill \"The ___ of the ___{2}\""),
    Flag.optional
  ),
  prompt: Flag.String("prompt").pipe(Flag.withDescription("Text to answer, instead of none; may be given several times. --count is then how many answers each gets"), Flag.atLeast(0)),
  json,
  ...samplerFlags
}, Effect.fnUntraced(function*({ checkpoint, count, infill, json, prompt: prompts, stream, ...flags }) {
  const change = { ...samplerChange(flags), ...(Option.isSome(count) ? { count: count.value } : {}) }
  yield* checkSampler(change)
  yield* requireOption(Option.isNone(count) || count.value >= 1, "count", "at least 1", Option.getOrUndefined(count))
  yield* requireOption(prompts.length === 0 || !stream, "stream", "texts without a prompt", "--prompt")
  yield* announceEngine
  yield* requireOption(prompts.length === 0 || Option.isNone(infill), "infill", "a text of its own, without a prompt", "--prompt")
  if (prompts.length > 0) {
    const answered = yield* answerPrompts({ checkpoint, change: samplerChange(flags), prompts, count: Option.getOrElse(count, () => 1) })
    return yield* printResult(json, answered, ({ answers }) => answers.map(({ answer, prompt }) => `${oneLine(prompt)} → ${oneLine(answer)}`))
  }
  const result = yield* sampleTexts({ checkpoint, change, ...given("template", infill), ...(stream ? { watch: showState } : { seen: showCount }) })
  yield* printResult(json, result, ({ texts }) => texts.map((text, i) => `${i + 1}. ${oneLine(text)}`))
})).pipe(Command.withDescription("Write texts from noise, fill the blanks of one, or answer prompts"), Command.provide(Backend.layer))

/** `elf` with all its commands. */
export const elf = Command.make("elf").pipe(
  Command.withDescription("Embedded Language Flows: train, sample and answer"),
  Command.withSubcommands([
    doctorCommand, engineCommand, trainCommand, distillCommand, sampleCommand, inferCommand, partsCommand, inspectCommand,
    jobsCommand, convertCommand, scoreCommand
  ])
)

/**
 * Options that several commands share.
 */
import { Effect, Option } from "effect"
import { Argument, Flag } from "effect/cli"
import { samplers, type SolverName, solverNames } from "../flow/Samplers.ts"
import type { RunConfig } from "../io/index.ts"
import { Backend } from "../model/Backend.ts"
import type { SamplerChoice } from "../run/sampling.ts"
import { OptionError } from "./errors.ts"
import { report } from "./progress.ts"

const optional = <A>(flag: Flag.Flag<A>, description: string) => flag.pipe(Flag.withDescription(description), Flag.optional)

/** The sampler's options; each that is left out comes from the checkpoint. */
export const samplerFlags = {
  steps: optional(Flag.Int("steps"), "Time steps from noise to text"),
  solver: optional(Flag.Literals("solver", solverNames), solverNames.map((name) => `${name}: ${samplers[name].about}`).join(". ")),
  gamma: optional(Flag.Finite("gamma"), "Strength of the reference's churn (sde)"),
  churn: optional(Flag.Finite("churn"), "Strength of Karras churn around any solver but sde; 0 is none"),
  stopWhenStable: optional(Flag.Int("stop-when-stable"), "Take no more steps with a text whose tokens have stayed the same so many times in a row"),
  length: optional(Flag.Int("length"), "Tokens of each text, exactly, ended by the network's end of text (not for answers to prompts)"),
  guidance: optional(Flag.Finite("guidance"), "Classifier-free guidance on the condition; 1 is none"),
  selfConditionScale: optional(Flag.Finite("self-condition-scale"), "Self-conditioning guidance; 1 is none"),
  timeGrid: optional(Flag.Literals("time-grid", ["logitNormal", "uniform"]), "Where the time steps lie"),
  seed: optional(Flag.Int("seed"), "All random draws are a function of it")
}

type SamplerFlags = {
  readonly steps: Option.Option<number>
  readonly solver: Option.Option<SolverName>
  readonly gamma: Option.Option<number>
  readonly churn: Option.Option<number>
  readonly stopWhenStable: Option.Option<number>
  readonly length: Option.Option<number>
  readonly guidance: Option.Option<number>
  readonly selfConditionScale: Option.Option<number>
  readonly timeGrid: Option.Option<"logitNormal" | "uniform">
  readonly seed: Option.Option<number>
}

/** `{ [key]: value }` for an option that was given, nothing for one that was not. */
export const given = <K extends string, A>(key: K, value: Option.Option<A>): { [key in K]?: A } =>
  (Option.isSome(value) ? { [key]: value.value } : {}) as { [key in K]?: A }

/** The options that were given. */
export const samplerChange = (flags: SamplerFlags): Partial<SamplerChoice> => ({
  ...given("steps", flags.steps),
  ...given("solver", flags.solver),
  ...given("gamma", flags.gamma),
  ...given("churn", flags.churn),
  ...given("stopWhenStable", flags.stopWhenStable),
  ...given("length", flags.length),
  ...given("guidanceScale", flags.guidance),
  ...given("selfConditionScale", flags.selfConditionScale),
  ...given("timeGrid", flags.timeGrid),
  ...given("seed", flags.seed)
})

/** Fails where an option is out of its range. */
export const requireOption = (holds: boolean, option: string, expected: string, received: unknown): Effect.Effect<void, OptionError> =>
  holds ? Effect.void : Effect.fail(new OptionError({ option, expected, received: String(received) }))

const optionNames = { steps: "steps", stopWhenStable: "stop-when-stable", length: "length" } as const

/** The options of a sampler in their ranges: a wrong one is refused before anything is loaded. */
export const checkSampler = (change: ReturnType<typeof samplerChange>): Effect.Effect<void, OptionError> =>
  Effect.all([
    ...(["steps", "stopWhenStable", "length"] as const).map((name) => requireOption((change[name] ?? 1) >= 1, optionNames[name], "at least 1", change[name])),
    ...(["gamma", "churn"] as const).map((name) => requireOption((change[name] ?? 0) >= 0, name, "at least 0", change[name])),
    requireOption(change.solver !== "sde" || (change.churn ?? 0) === 0, "churn", "0 with --solver sde, whose churn is --gamma", change.churn)
  ], { discard: true })

/** Results as JSON on standard output. */
export const json = Flag.Boolean("json").pipe(Flag.withDescription("Print the result as JSON"), Flag.withDefault(false))

/** The checkpoint of a command. */
export const checkpoint = Flag.Path("checkpoint").pipe(Flag.withDescription("Checkpoint, or folder of a run (its latest)"))

/** The run file of a command. */
export const runFile = Argument.Path("run").pipe(Argument.withDescription("Run file, .json or .yaml"))

/** What keeps a run from ending badly, for all commands that train. */
export const trainingFlags = {
  resume: Flag.Boolean("resume").pipe(Flag.withDescription("Go on from the latest checkpoint"), Flag.withDefault(false)),
  acceptChanges: Flag.Boolean("accept-changes").pipe(Flag.withDescription("Go on although the run file, the data or the vocabulary have changed since"), Flag.withDefault(false)),
  onDivergence: Flag.Literals("on-divergence", ["stop", "skip", "rollback"]).pipe(
    Flag.withDescription("When a loss or gradient is not finite: stop, pass the batch over, or go back to the last checkpoint; default: the run file's"),
    Flag.optional
  )
}

/** A run with what the command line says about divergence. */
export const withDivergence = (run: RunConfig.RunConfig, choice: Option.Option<RunConfig.RunConfig["optimizer"]["onDivergence"]>): RunConfig.RunConfig =>
  Option.isNone(choice) ? run : { ...run, optimizer: { ...run.optimizer, onDivergence: choice.value } }

/** The line that says what the program runs on. */
export const announceEngine = Effect.flatMap(Backend, ({ description }) => report(`engine: ${description}`))

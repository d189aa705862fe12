/**
 * `elf distill`: a network of many steps into one of few.
 */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { RunConfig } from "../io/index.ts"
import { Backend } from "../model/Backend.ts"
import type { DistillationSection } from "../run/plan.ts"
import { distillRun, type DistillSummary, type RoundSummary } from "./distillRun.ts"
import { announceEngine, json, requireOption, runFile, trainingFlags, withDivergence } from "./options.ts"
import { printResult } from "./print.ts"
import { duration, readable } from "./progress.ts"

/** The section of a run that has one. */
const sectionOf = (run: RunConfig.RunConfig, file: string): Effect.Effect<DistillationSection, RunConfig.RunConfigError> =>
  run.distillation === undefined
    ? Effect.fail(new RunConfig.RunConfigError({ file, problems: ["distillation: this section must be given; it names the teacher and the steps of a round"] }))
    : Effect.succeed(run.distillation)

const withSteps = (section: DistillationSection, steps: Option.Option<number>): DistillationSection =>
  Option.isNone(steps) ? section : { ...section, stepsPerRound: steps.value, warmupSteps: Math.min(section.warmupSteps, steps.value) }

const heldOutPart = ({ heldOutAfter, heldOutBefore }: RoundSummary): string =>
  heldOutBefore === undefined || heldOutAfter === undefined ? "" : `  held-out loss ${readable(heldOutBefore)} → ${readable(heldOutAfter)}`

const distillLines = ({ checkpoint, rounds, seconds }: DistillSummary): ReadonlyArray<string> => [
  ...rounds.map((round) => `${round.studentSteps} steps${heldOutPart(round)}  ${round.checkpoint}`),
  `${rounds.length} ${rounds.length === 1 ? "round" : "rounds"} after ${duration(seconds)}`,
  `checkpoint ${checkpoint}`
]

/** The command. */
export const distillCommand = Command.make("distill", {
  run: runFile,
  steps: Flag.Int("steps").pipe(Flag.withDescription("Optimiser steps of each round, instead of the run file's"), Flag.optional),
  ...trainingFlags,
  json
}, Effect.fnUntraced(function*({ acceptChanges, json, onDivergence, resume, run: file, steps }) {
  yield* requireOption(Option.isNone(steps) || steps.value >= 1, "steps", "at least 1", Option.getOrUndefined(steps))
  const run = withDivergence(yield* RunConfig.load(file), onDivergence)
  const section = withSteps(yield* sectionOf(run, file), steps)
  yield* announceEngine
  yield* printResult(json, yield* distillRun({ run, section, resume, acceptChanges }), distillLines)
})).pipe(Command.withDescription("Distil a trained network into one of few steps, as a run file says"), Command.provide(Backend.layer))

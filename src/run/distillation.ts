/**
 * Progressive distillation as a run file's section says: its rounds as runs of their own, its teacher, its stages' options.
 *
 * @source ELF branch `distillation`, `src/distill_train.py`, `src/configs/training_configs/distill_curriculum_ELF-B.yml`
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { basename, join } from "node:path"
import { spanStart } from "../flow/Distillation.ts"
import { logitNormal, type TimeDistribution, uniform } from "../flow/TimeDistribution.ts"
import { Checkpoint, type RunConfig } from "../io/index.ts"
import type { ElfWeights } from "../model/Network.ts"
import type { CorruptionOptions } from "../streams/corrupt.ts"
import type { TeachOptions } from "../streams/teach.ts"
import { corruptionOptions } from "./corruption.ts"
import type { DistillationSection, PlannedDistillation, PlannedRun } from "./plan.ts"
import { averagedTensors, checkpointConfig } from "./weights.ts"

/** The teacher of a distillation is not the network that the run file describes. */
export class TeacherError extends Schema.TaggedError<TeacherError>()("TeacherError", {
  teacher: Schema.String,
  /** One sentence a difference. */
  problems: Schema.NonEmptyArray(Schema.String)
}) {
  override get message(): string {
    return `The teacher ${this.teacher} does not fit this run: ${this.problems.join("; ")}. ` +
      "Take these sections from the run file that the teacher was trained by."
  }
}

/** One round of the curriculum. */
export interface DistillationRound {
  /** From 1. */
  readonly number: number
  readonly studentSteps: number
  readonly teacherSteps: number
  /** The round as a run of its own: its steps, its folder, and a sampler of `studentSteps`. */
  readonly run: PlannedRun
}

/** Name of a round's folder: `round-2-steps-8`. */
const folderOf = (number: number, studentSteps: number): string => `round-${number}-steps-${studentSteps}`

const roundRun = (run: RunConfig.RunConfig, section: PlannedDistillation, folder: string, studentSteps: number): PlannedRun => {
  const { epochs: _, ...data } = run.data
  const { warmupEpochs: __, ...optimizer } = run.optimizer
  return {
    ...run,
    // The reference hides no condition in distillation either.
    data: { ...data, labelDropProbability: 0 },
    flow: { ...run.flow, decoderProbability: section.decoderProbability },
    optimizer: { ...optimizer, steps: section.stepsPerRound, warmupSteps: section.warmupSteps },
    checkpoint: { ...run.checkpoint, directory: folder },
    log: {
      ...run.log,
      ...(run.log.file === undefined ? {} : { file: join(folder, "metrics.jsonl") }),
      ...(run.log.tensorboard === undefined ? {} : { tensorboard: join(run.log.tensorboard, basename(folder)) })
    },
    sample: { ...run.sample, steps: studentSteps }
  }
}

/** The rounds of a run, in their order. */
export const distillationRounds = (run: RunConfig.RunConfig, section: PlannedDistillation): ReadonlyArray<DistillationRound> =>
  section.rounds.map((round, i) => ({
    ...round,
    number: i + 1,
    run: roundRun(run, section, join(section.directory, folderOf(i + 1, round.studentSteps)), round.studentSteps)
  }))

const lawOf = (name: "logitNormal" | "uniform", { timeDistribution: law }: RunConfig.RunConfig["flow"]): TimeDistribution =>
  name === "uniform" ? uniform : logitNormal(law.kind === "logitNormal" ? law : { mean: -1.5, standardDeviation: 0.8 })

/** How a round's rows are corrupted: t is where the student's step begins. */
export const roundCorruption = ({ run, studentSteps }: DistillationRound, { studentTimes }: DistillationSection): CorruptionOptions => ({
  ...corruptionOptions(run),
  timeDistribution: spanStart(lawOf(studentTimes, run.flow), 1 / studentSteps)
})

/** What the teacher does in a round. */
export const teachOptions = ({ run, studentSteps, teacherSteps }: DistillationRound, { teacherTimes }: DistillationSection): TeachOptions => ({
  stepSize: 1 / studentSteps,
  teacherSteps,
  teacherTimes: teacherTimes === "equal" ? teacherTimes : lawOf(teacherTimes, run.flow)
})

type Compared = readonly [place: string, value: (run: RunConfig.RunConfig) => unknown]

const modelKeys = [
  "hidden", "depth", "heads", "textWidth", "bottleneck", "length", "timeTokens", "selfConditionScaleTokens", "modeTokens", "vocabulary", "feedForwardRatio"
] as const

/** What student and teacher must have in common, besides the text encoder's own weights. */
const common: ReadonlyArray<Compared> = [
  ...modelKeys.map((key): Compared => [`model.${key}`, ({ model }) => model[key]]),
  ["encoder.latentMean", ({ encoder }) => encoder.latentMean],
  ["encoder.latentStandardDeviation", ({ encoder }) => encoder.latentStandardDeviation],
  ["flow.noiseScale", ({ flow }) => flow.noiseScale],
  ["flow.timeEpsilon", ({ flow }) => flow.timeEpsilon]
]

const differences = (run: RunConfig.RunConfig, teacher: RunConfig.RunConfig): ReadonlyArray<string> =>
  common.filter(([, value]) => value(run) !== value(teacher))
    .map(([place, value]) => `${place} is ${String(value(run))}, the teacher's is ${String(value(teacher))}`)

/** The teacher of a run: the moving average of its weights, where its checkpoint has one. */
export const teacherWeights = Effect.fnUntraced(function*(run: RunConfig.RunConfig, { teacher }: DistillationSection) {
  const checkpoint = yield* Checkpoint.read(teacher)
  const found = differences(run, yield* checkpointConfig(checkpoint))
  if (found.length > 0) return yield* new TeacherError({ teacher: checkpoint.path, problems: found as [string, ...Array<string>] })
  return { config: run.model, tensors: yield* averagedTensors(checkpoint, run.model) } satisfies ElfWeights
})

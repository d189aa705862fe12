/**
 * `distill_*`: one training step of progressive distillation, through the stages that production runs (corrupt, teach, then
 * loss and gradients), from recorded latents on.
 */
import { Effect, Layer, Option, Stream } from "effect"
import { spanStart } from "../../../src/flow/Distillation.ts"
import { logitNormal, type TimeDistribution, uniform } from "../../../src/flow/TimeDistribution.ts"
import { Backend } from "../../../src/model/Backend.ts"
import { Network } from "../../../src/model/Network.ts"
import { Teacher } from "../../../src/model/Teacher.ts"
import { corrupt } from "../../../src/streams/corrupt.ts"
import { type TaughtBatch, teach } from "../../../src/streams/teach.ts"
import { forward, halves } from "../device.ts"
import type { Directory, Fixture, FixtureCase } from "../Directory.ts"
import { type Finding, NotRun, type RunCase } from "../Finding.ts"
import { corruptionOptions, type CorruptionSettings, recordedStep, referenceWeights } from "../reference.ts"
import { splitHalves } from "../rows.ts"
import type { Quantity } from "../tolerances.ts"
import { batchAt } from "./trajectory.ts"
import { branchFinding, lossesOf, lossFindings } from "./trainStep.ts"

type Schedule = "uniform" | "logit_normal"

/** A distillation case's settings. */
export interface DistillationSettings extends CorruptionSettings {
  readonly pd_step_size: number
  readonly pd_teacher_steps: number
  readonly pd_student_schedule: Schedule
  readonly pd_teacher_schedule: Schedule
}

export type DistillationCase = FixtureCase<DistillationSettings>

/** The case that holds the weights of both. */
const models = "distill_models"

const lawOf = (schedule: Schedule, { denoiser_p_mean: mean, denoiser_p_std: standardDeviation }: DistillationSettings): TimeDistribution =>
  schedule === "uniform" ? uniform : logitNormal({ mean, standardDeviation })

/** Student and teacher of the directory. */
export const distillationServices = (directory: Directory) =>
  Layer.merge(
    Network.layer(referenceWeights(directory, models, "student.")),
    Teacher.layer(referenceWeights(directory, models, "teacher."))
  )

/** The recorded rows as the student's step reads them. */
export const taughtBatch = (recorded: Fixture, { config }: DistillationCase) => {
  const source = recordedStep(recorded)
  const stepSize = config.pd_step_size
  return Stream.make(batchAt(recorded, 0)).pipe(
    corrupt({ ...corruptionOptions(config), timeDistribution: spanStart(lawOf(config.pd_student_schedule, config), stepSize), source }),
    teach({ stepSize, teacherSteps: config.pd_teacher_steps, teacherTimes: lawOf(config.pd_teacher_schedule, config), source }),
    Stream.runHead,
    Effect.map(Option.getOrThrow)
  )
}

/** The student's prediction on the recorded input, where it is recorded too. */
const studentFindings = (recorded: Fixture, { width }: TaughtBatch) =>
  Effect.gen(function*() {
    if (!recorded.has("x_pred")) return []
    const backend = yield* Backend
    const { elf } = yield* Network
    const actual = yield* backend.kernel("student", () => forward(elf, {
      ...halves(recorded.tensor("model_input"), width),
      t: recorded.tensor("t_s"),
      selfConditionScale: recorded.tensor("w"),
      decoderGate: recorded.tensor("decoder_active")
    }).out)
    return [{ array: "x_pred", quantity: "forward", actual, expected: recorded.floats("x_pred") }] satisfies ReadonlyArray<Finding>
  })

const spanEnds = ({ size, teacherTimes }: TaughtBatch): Float32Array => {
  const stride = teacherTimes.length / size
  return teacherTimes.filter((_, i) => i % stride === stride - 1)
}

const batchFindings = (recorded: Fixture, taught: TaughtBatch): ReadonlyArray<Finding> => {
  const near = (array: string, quantity: Quantity, actual: ArrayLike<number>): Finding => ({ array, quantity, actual, expected: recorded.floats(array) })
  const denoiser = (array: string, quantity: Quantity, actual: Float32Array) => branchFinding(recorded, taught.decoderActive, array, actual, 0, quantity)
  const half = (part: string, actual: Float32Array, expected: Float32Array): Finding => ({ array: "model_input", part, quantity: "corruption", actual, expected })
  const ours: Readonly<Record<string, () => ReadonlyArray<Finding>>> = {
    decoder_active: () => [near("decoder_active", "exact", taught.decoderActive)],
    t_s: () => [near("t_s", "flow", taught.t)],
    t_t: () => [near("t_t", "flow", spanEnds(taught))],
    sub_step_times: () => [near("sub_step_times", "flow", taught.teacherTimes)],
    w: () => [near("w", "corruption", taught.selfConditionScale!)],
    z_t_s: () => [denoiser("z_t_s", "corruption", taught.z)],
    sc_half: () => [near("sc_half", "corruption", taught.selfCondition!)],
    model_input: () => {
      const [z, selfCondition] = splitHalves(recorded.floats("model_input"), taught.width)
      return [half("z", taught.z, z), half("self-condition", taught.selfCondition!, selfCondition)]
    },
    target_pd: () => [denoiser("target_pd", "teacher", taught.predictionTarget)]
  }
  return Object.entries(ours).filter(([array]) => recorded.has(array)).flatMap(([, find]) => find())
}

export const distillationCase: RunCase = (directory, each) => {
  const distillation = each as DistillationCase
  if (!directory.cases.some(({ name }) => name === models)) return Effect.fail(new NotRun({ why: `the directory has no student and teacher (${models})` }))
  return Effect.gen(function*() {
    const recorded = directory.fixture(each.name)
    const taught = yield* taughtBatch(recorded, distillation)
    return [
      ...batchFindings(recorded, taught),
      ...(yield* studentFindings(recorded, taught)),
      ...lossFindings(recorded, yield* lossesOf(each.name, taught))
    ]
  }).pipe(Effect.provide(distillationServices(directory)))
}

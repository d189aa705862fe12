/** `traj_*`: several training steps through corrupt, selfCondition and train. */
import { Effect, Stream } from "effect"
import type { RandomSource } from "../../../src/flow/Random.ts"
import { Backend } from "../../../src/model/Backend.ts"
import { initialAverage, updateAverage } from "../../../src/model/Ema.ts"
import type { ElfWeights } from "../../../src/model/Network.ts"
import { dispose, download, type HostTensor } from "../../../src/model/Parameters.ts"
import { snapshot, TrainState, type TrainSnapshot } from "../../../src/model/TrainState.ts"
import { corrupt } from "../../../src/streams/corrupt.ts"
import type { LatentBatch } from "../../../src/streams/index.ts"
import { selfCondition } from "../../../src/streams/selfCondition.ts"
import { type StepMetrics, train, type TrainOptions } from "../../../src/streams/train.ts"
import type { Fixture, FixtureCase } from "../Directory.ts"
import type { Finding, RunCase } from "../Finding.ts"
import { corruptionOptions, type CorruptionSettings, recordedStep, referenceWeights } from "../reference.ts"
import { clipNorm, optimizerOptions, type OptimizerSettings } from "./optimizer.ts"

export interface TrajectorySettings extends CorruptionSettings, OptimizerSettings {
  readonly grad_accum_steps: number
  readonly ema_decay1: number
  readonly lr: number
  readonly lr_schedule: TrainOptions["schedule"]
  readonly min_lr: number
  readonly warmup: number
}

export interface Course {
  readonly metrics: ReadonlyArray<{ readonly loss: number; readonly l2_loss: number; readonly ce_loss: number }>
  readonly lr_used: ReadonlyArray<number>
  /** null on a batch that only accumulates. */
  readonly grad_norms: ReadonlyArray<number | null>
}

export type TrajectoryCase = FixtureCase<TrajectorySettings, Course>

export const trainOptions = ({ config, scalars }: TrajectoryCase): TrainOptions => ({
  learningRate: config.lr,
  schedule: config.lr_schedule,
  warmupSteps: config.warmup,
  minimumLearningRate: config.min_lr,
  steps: scalars.metrics.length,
  optimizer: optimizerOptions(config),
  clipNorm,
  gradientAccumulation: config.grad_accum_steps,
  emaDecay: config.ema_decay1
})

/** Recorded rows, the same at every step, keyed by their place in the stream. */
export const batchAt = (recorded: Fixture, step: number): LatentBatch => {
  const [size, length, width] = recorded.shape("x0_encoded") as [number, number, number]
  return {
    size,
    length,
    width,
    ids: recorded.integers("input_ids"),
    latents: recorded.floats("x0_encoded"),
    attentionMask: recorded.floats("attention_mask"),
    conditionMask: recorded.floats("cond_seq_mask"),
    labelDropped: new Uint8Array(size),
    indices: Array.from({ length: size }, (_, row) => step * size + row)
  }
}

/** The draws of all steps: the row of index i belongs to step ⌊i / size⌋. */
const recordedRun = (recorded: Fixture): RandomSource => {
  const size = recorded.shape("x0_encoded")[0]!
  const steps = new Map<number, RandomSource>()
  const of = (index: number): RandomSource => {
    const step = Math.floor(index / size)
    if (!steps.has(step)) steps.set(step, recordedStep(recorded, `s${step}.`))
    return steps.get(step)!
  }
  return {
    normal: (key, length) => of(key.index).normal({ ...key, index: key.index % size }, length),
    uniform: (key, length) => of(key.index).uniform({ ...key, index: key.index % size }, length)
  }
}

/** The metrics of steps `first` … `last` on the training state in scope. */
export const trajectory = (recorded: Fixture, each: TrajectoryCase, first: number, last: number) =>
  Stream.range(first, last).pipe(
    Stream.map((step) => batchAt(recorded, step)),
    corrupt({ ...corruptionOptions(each.config), source: recordedRun(recorded) }),
    selfCondition,
    train(trainOptions(each))
  )

/** `ema09999.…` → 0.9999. */
const decaysOf = (recorded: Fixture): ReadonlyMap<string, number> =>
  new Map(recorded.names.flatMap((name) => {
    const [prefix, digits] = /^ema0(\d+)\./.exec(name) ?? []
    return prefix === undefined ? [] : [[prefix, Number(`0.${digits}`)] as const]
  }))

const takeSnapshot = Effect.gen(function*() {
  const state = yield* TrainState
  return yield* (yield* Backend).kernel("snapshot", () => snapshot(state))
})

interface Seen {
  readonly metrics: StepMetrics
  readonly after: TrainSnapshot
}

/** Averages of every recorded decay; training itself keeps one of them. */
const averagesOf = (recorded: Fixture) =>
  Effect.gen(function*() {
    const state = yield* TrainState
    const backend = yield* Backend
    const averages = yield* Effect.acquireRelease(
      backend.kernel("averages", () => Array.from(decaysOf(recorded), ([prefix, decay]) => ({ prefix, decay, average: initialAverage(state.elf.parameters) }))),
      (held) => Effect.sync(() => held.forEach(({ average }) => dispose(average)))
    )
    return {
      update: backend.kernel("average", () => {
        for (const { average, decay } of averages) updateAverage(average, state.elf.parameters, decay)
      }),
      read: backend.kernel("download", () => new Map(averages.map(({ average, prefix }) => [prefix, [...download(average)]])))
    }
  })

/** Runs a whole case from `initial`: the state before, after each step, and the averages at the end by their prefix. */
export const runTrajectory = (recorded: Fixture, each: TrajectoryCase, initial: ElfWeights) =>
  Effect.scoped(Effect.gen(function*() {
    const before = yield* takeSnapshot
    const averages = yield* averagesOf(recorded)
    const seen: Array<Seen> = []
    yield* trajectory(recorded, each, 0, each.scalars.metrics.length - 1).pipe(
      Stream.runForEach((metrics) => Effect.gen(function*() {
        if (metrics.gradientNorm !== undefined) yield* averages.update
        seen.push({ metrics, after: yield* takeSnapshot })
      }))
    )
    return { before, seen, averages: yield* averages.read }
  })).pipe(Effect.provide(TrainState.layer({ config: initial.config, optimizer: optimizerOptions(each.config), from: initial.tensors })))

/** What {@link runTrajectory} gives. */
export type Run = Effect.Success<ReturnType<typeof runTrajectory>>

/** Tensors by name; each is called `prefix` and its name. */
export const compareWeights = (prefix: string, actual: ReadonlyArray<HostTensor>, expected: ReadonlyArray<HostTensor>): ReadonlyArray<Finding> => {
  const values = new Map(actual.map(({ data, name }) => [name, data]))
  return expected.map(({ data, name }) => ({ array: `${prefix}${name}`, quantity: "trajectory", actual: values.get(name) ?? [], expected: data }))
}

const compareMetrics = ({ config, scalars }: TrajectoryCase, { step, ...metrics }: StepMetrics): ReadonlyArray<Finding> => {
  const index = step - 1
  const expected = scalars.metrics[index]!
  const norm = scalars.grad_norms[index] ?? undefined
  const accumulates = step % config.grad_accum_steps !== 0
  return [
    { array: `metrics[${index}].loss`, quantity: "trajectoryLoss", actual: [metrics.loss], expected: [expected.loss] },
    { array: `metrics[${index}].l2_loss`, quantity: "trajectoryLoss", actual: [metrics.denoiserLoss], expected: [expected.l2_loss] },
    { array: `metrics[${index}].ce_loss`, quantity: "trajectoryLoss", actual: [metrics.decoderLoss], expected: [expected.ce_loss] },
    { array: `lr_used[${index}]`, quantity: "learningRate", actual: [metrics.learningRate], expected: [scalars.lr_used[index]!] },
    accumulates
      ? { array: `grad_norms[${index}]`, quantity: "exact", actual: [Number(metrics.gradientNorm === undefined)], expected: [Number(norm === undefined)], note: "no update" }
      : { array: `grad_norms[${index}]`, quantity: "trajectory", actual: metrics.gradientNorm === undefined ? [] : [metrics.gradientNorm], expected: norm === undefined ? [] : [norm] }
  ]
}

/** Everything recorded of a run beside what it gave. */
export const compareTrajectory = (recorded: Fixture, each: TrajectoryCase, { averages, seen }: Run): ReadonlyArray<Finding> => [
  { array: "steps", quantity: "exact", actual: [seen.length], expected: [each.scalars.metrics.length] },
  ...seen.flatMap(({ after, metrics }) => [...compareMetrics(each, metrics), ...compareWeights(`step${metrics.step - 1}.`, after.model, recorded.group(`step${metrics.step - 1}.`))]),
  ...compareWeights("final.", seen.at(-1)?.after.model ?? [], recorded.group("final.")),
  ...Array.from(averages).flatMap(([prefix, average]) => compareWeights(prefix, average, recorded.group(prefix))),
  ...compareAverage(recorded, each, seen)
]

/** The average that training keeps, against the record of its decay. */
const compareAverage = (recorded: Fixture, { config }: TrajectoryCase, seen: Run["seen"]): ReadonlyArray<Finding> =>
  Array.from(decaysOf(recorded)).filter(([, decay]) => decay === config.ema_decay1).flatMap(([prefix]) =>
    compareWeights(prefix, seen.at(-1)?.after.average ?? [], recorded.group(prefix)).map((finding) => ({ ...finding, part: "kept by the stage" })))

export const trajectoryCase: RunCase = (directory, each) =>
  Effect.suspend(() => {
    const recorded = directory.fixture(each.name)
    const trajectory = each as TrajectoryCase
    return Effect.map(runTrajectory(recorded, trajectory, referenceWeights(directory, "model")), (run) => compareTrajectory(recorded, trajectory, run))
  })

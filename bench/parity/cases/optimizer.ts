/** Newton–Schulz, the optimisers with given gradients, moving averages and learning rates. */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { Backend } from "../../../src/model/Backend.ts"
import { initialAverage, updateAverage } from "../../../src/model/Ema.ts"
import { learningRate, type LearningRateOptions } from "../../../src/model/LearningRate.ts"
import { newtonSchulz } from "../../../src/model/NewtonSchulz.ts"
import { clipScale, globalNorm, initialState, type OptimizerOptions, step } from "../../../src/model/Optimizer.ts"
import { dispose, type HostTensor, type Parameters, upload } from "../../../src/model/Parameters.ts"
import type { Fixture, FixtureCase } from "../Directory.ts"
import type { Finding, RunCase } from "../Finding.ts"
import type { Quantity } from "../tolerances.ts"

export interface OptimizerSettings {
  readonly optimizer: "muon" | "adamw"
  readonly weight_decay: number
  readonly adam_b1: number
  readonly adam_b2: number
}

interface ScheduledSettings extends OptimizerSettings {
  readonly lr: number
  readonly warmup: number
  readonly total_steps: number
  readonly schedule: LearningRateOptions["schedule"]
  readonly min_lr: number
}

interface Course {
  readonly lr_used: ReadonlyArray<number>
  readonly grad_norms: ReadonlyArray<number>
}

/** Gradients are clipped to this norm in every case. */
export const clipNorm = 1

export const optimizerOptions = (config: OptimizerSettings): OptimizerOptions => ({
  kind: config.optimizer,
  weightDecay: config.weight_decay,
  beta1: config.adam_b1,
  beta2: config.adam_b2
})

/** A parameter without a recorded gradient has gradient 0. */
export const gradientsAt = (recorded: Fixture, index: number, parameters: Parameters): Parameters =>
  Object.fromEntries(Object.entries(parameters).map(([name, value]) => {
    const key = `grad${index}.${name}`
    return [name, recorded.has(key) ? recorded.tensor(key) : tf.zerosLike(value)]
  }))

/** `newton_schulz`: every pair of `in…` and `out…`. */
export const newtonSchulzCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const recorded = directory.fixture(each.name)
    return yield* Effect.forEach(recorded.names.filter((name) => name.startsWith("out")), (array) =>
      Effect.map(
        backend.kernel(array, () => newtonSchulz(recorded.tensor(array.replace(/^out/, "in"))).dataSync() as Float32Array),
        (actual): Finding => ({ array, quantity: "optimizer", actual, expected: recorded.floats(array) })
      ))
  })

/** Our names of the reference's moments, and a plain name for everything else. */
const recordedMoment = (name: string): string => {
  const [part, ...rest] = name.split("/")
  const theirs: Readonly<Record<string, string>> = { momentum: "momentum_buffer", mean: "exp_avg", variance: "exp_avg_sq" }
  return `${rest.join("/")}.${theirs[part!] ?? part}`
}

const compareAll = (quantity: Quantity, prefix: string, actual: Parameters, expected: ReadonlyArray<HostTensor>): ReadonlyArray<Finding> =>
  expected.map(({ data, name }) => ({ array: `${prefix}${name}`, quantity, actual: actual[name]?.dataSync() ?? [], expected: data }))

/** The decays of recorded averages `ema<decay>.…`. */
const decaysOf = (recorded: Fixture): ReadonlyArray<string> =>
  [...new Set(recorded.names.flatMap((name) => /^ema(\d\.\d+)\./.exec(name)?.[1] ?? []))]

/** `optim_*`: clipping, updates, moments and moving averages. */
export const optimizerCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const recorded = directory.fixture(each.name)
    const { config, scalars } = each as FixtureCase<ScheduledSettings, Course>
    const options = optimizerOptions(config)
    const schedule = { learningRate: config.lr, schedule: config.schedule, warmupSteps: config.warmup, minimumLearningRate: config.min_lr, steps: config.total_steps }
    const rates: Finding = { array: "lr_used", quantity: "learningRate", actual: scalars.lr_used.map((_, i) => learningRate(schedule, i)), expected: scalars.lr_used }
    const updates = yield* backend.kernel(each.name, () => {
      const parameters = upload(recorded.group("init."))
      const state = initialState(options, parameters)
      const averages = decaysOf(recorded).map((decay) => ({ decay, average: initialAverage(parameters) }))
      const steps = scalars.lr_used.flatMap((rate, i) => {
        const gradients = gradientsAt(recorded, i, parameters)
        const norm = globalNorm(gradients)
        step(options, parameters, state, gradients, { learningRate: rate, gradientScale: clipScale(norm, clipNorm) })
        for (const { average, decay } of averages) updateAverage(average, parameters, Number(decay))
        const clipped: Finding = { array: `grad_norms[${i}]`, quantity: "norm", actual: [norm], expected: [scalars.grad_norms[i]!] }
        return [clipped, ...compareAll("optimizer", `step${i}.`, parameters, recorded.group(`step${i}.`))]
      })
      const count: Finding = { array: "updates", quantity: "exact", actual: [state.updates], expected: [scalars.lr_used.length] }
      const moments = Object.fromEntries(Object.entries(state.moments).map(([key, value]) => [recordedMoment(key), value]))
      const found = [
        ...steps,
        count,
        ...averages.flatMap(({ average, decay }) => compareAll("optimizer", `ema${decay}.`, average, recorded.group(`ema${decay}.`))),
        ...compareAll("optimizer", "state.", moments, recorded.group("state."))
      ]
      for (const held of [parameters, state.moments, ...averages.map(({ average }) => average)]) dispose(held)
      return found
    })
    return [rates, ...updates]
  })

interface Schedule {
  readonly args: readonly [steps: number, warmup: number, peak: number, schedule: LearningRateOptions["schedule"], minimum: number]
  readonly steps: ReadonlyArray<number>
  readonly values: ReadonlyArray<number>
}

/** `lr_schedules`: the rate of every listed step of every listed schedule. */
export const schedulesCase: RunCase = (_, { scalars }) =>
  Effect.sync(() =>
    Object.entries(scalars as Readonly<Record<string, Schedule>>).map(([array, { args, steps, values }]): Finding => {
      const [total, warmupSteps, peak, schedule, minimumLearningRate] = args
      const options = { learningRate: peak, schedule, warmupSteps, minimumLearningRate, steps: total }
      return { array, quantity: "schedule", actual: steps.map((at) => learningRate(options, at)), expected: values }
    })
  )

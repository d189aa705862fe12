/**
 * Time steps → latents on their way from noise to data.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Stream } from "effect"
import { rows, type RandomSource, type Seeded, sourceOf } from "../flow/Random.ts"
import { type Past, type Problem, sde, type Solver, type State } from "../flow/Solver.ts"
import type { TimeStep } from "../flow/TimeGrid.ts"
import { Backend, type BackendError } from "../model/Backend.ts"
import type { Elf } from "../model/Elf.ts"
import type { FlowProcess } from "../model/FlowProcess.ts"
import { rowsAtOnce } from "../model/KernelBatch.ts"
import { Network } from "../model/Network.ts"
import { restoreCondition } from "../model/SelfConditioning.ts"
import { type Condition, type FieldOptions, tensorAlgebra, velocityField } from "../model/VelocityField.ts"
import type { Stage } from "./Stage.ts"

/** Host latents that a sample is held to. */
export interface SampleCondition {
  /** Clean latents `[B, S, D]`; read at condition positions only. */
  readonly latents: Float32Array
  /** 1 = condition `[B, S]` */
  readonly mask: Float32Array
}

/** How rows are sampled, whichever they are. */
export interface SamplerOptions extends Partial<FlowProcess> {
  /** Default: the reference's SDE sampler with churn γ = `gamma`. By name: `Samplers.solverOf`. */
  readonly solver?: Solver
  /** γ of the default solver, ≥ 0. Default 1.5; 0 is plain Euler. */
  readonly gamma?: number
  /** w: strength of self-conditioning guidance. Default 1, none. */
  readonly selfConditionScale?: number
  /** s: strength of classifier-free guidance on the condition. Default 1, none. */
  readonly guidanceScale?: number
}

/** What to sample and how. The noise process is the network's, unless an option says otherwise. */
export interface SampleOptions extends SamplerOptions {
  /** The key of each row's draws: B distinct integers. A row's sample depends on its key, not on its neighbours. */
  readonly keys: ReadonlyArray<number>
  readonly condition?: SampleCondition
}

/** The options with the network's process filled in. */
type Resolved = SampleOptions & FieldOptions & Pick<FlowProcess, "noiseScale"> & { readonly solver: Solver }

const resolve = (process: FlowProcess, options: SampleOptions): Resolved => {
  const { gamma = 1.5 } = options
  return { ...process, selfConditionScale: 1, guidanceScale: 1, solver: sde({ gamma }), ...options }
}

/** The state after `step`: host arrays. */
export interface Sampled {
  readonly step: TimeStep
  /** `[B, S, D]` */
  readonly z: Float32Array
  /** x̂ at this step, `[B, S, D]` */
  readonly prediction: Float32Array
  readonly shape: readonly [size: number, length: number, width: number]
}

/** What one step hands to the next: nothing on the device. */
export interface Advanced extends Sampled {
  /** What a multistep method remembers, `[B, S, D]`. */
  readonly past?: Past<Float32Array>
}

/** z at t = 0. @source `generation.py`, the initial `z` */
const initialNoise = (source: RandomSource, { keys, noiseScale }: Resolved, width: number): Float32Array => {
  const noise = rows(source.normal, { purpose: "initialNoise", indices: keys }, width)
  const scale = Math.fround(noiseScale)
  for (let i = 0; i < noise.length; i++) noise[i]! *= scale
  return noise
}

const shapeOf = ({ config }: Elf, options: Resolved): [number, number, number] => [options.keys.length, config.length, config.textWidth]

const problem = (elf: Elf, source: RandomSource, options: Resolved): Problem<tf.Tensor3D> => {
  const shape = shapeOf(elf, options)
  const upload = (data: Float32Array) => tf.tensor3d(data, shape)
  const condition: Condition | undefined = options.condition && {
    clean: upload(options.condition.latents),
    mask: tf.tensor2d(options.condition.mask, [shape[0], shape[1]])
  }
  return {
    ...tensorAlgebra,
    field: velocityField(elf, options, condition),
    noiseScale: options.noiseScale,
    noise: ({ index }) => upload(rows(source.normal, { purpose: "churn", indices: options.keys, step: index }, shape[1] * shape[2])),
    ...(condition === undefined ? {} : { restore: (z: tf.Tensor3D) => restoreCondition(z, condition.clean, condition.mask) })
  }
}

const startState = (elf: Elf, source: RandomSource, options: Resolved, restore: (z: tf.Tensor3D) => tf.Tensor3D): State<tf.Tensor3D> => {
  const shape = shapeOf(elf, options)
  const z = tf.tensor3d(initialNoise(source, options, shape[1] * shape[2]), shape)
  return { z: restore(z), prediction: restore(tf.zerosLike(z)) }
}

const uploadState = ({ past, prediction, z }: Advanced, upload: (data: Float32Array) => tf.Tensor3D): State<tf.Tensor3D> => ({
  z: upload(z),
  prediction: upload(prediction),
  ...(past === undefined ? {} : { past: { t: past.t, velocity: upload(past.velocity) } })
})

const download = (x: tf.Tensor3D): Float32Array => x.dataSync() as Float32Array

/** One solver step: host state in, host state out. */
const advance = (elf: Elf, source: RandomSource, options: Resolved, state: Advanced | undefined, step: TimeStep): Advanced => {
  const shape = shapeOf(elf, options)
  const posed = problem(elf, source, options)
  const from = state === undefined
    ? startState(elf, source, options, posed.restore ?? ((z) => z))
    : uploadState(state, (data) => tf.tensor3d(data, shape))
  const { past, prediction, z } = options.solver.step(posed, from, step)
  return {
    step,
    shape,
    z: download(z),
    prediction: download(prediction!),
    ...(past === undefined ? {} : { past: { t: past.t, velocity: download(past.velocity) } })
  }
}

/** One solver step of the rows in `options`, from noise where there is no state yet. */
export const advanceRows = Effect.fnUntraced(function*(options: SampleOptions, source: RandomSource, state: Advanced | undefined, step: TimeStep) {
  yield* Effect.yieldNow
  const backend = yield* Backend
  const { elf, process } = yield* Network
  return yield* backend.kernel("sample", () => advance(elf, source, resolve(process, options), state, step), rowsAtOnce(options.keys.length, elf.config.length))
})

/**
 * Follows the solver over the upstream's time steps and emits the state after each. `Stream.runLast` is the sample;
 * `Stream.take` stops early, `Stream.tap` watches the text emerge, `Stream.filter` saves at chosen times.
 * @source `generation_utils.py`, `_generate_samples_single_batch`
 */
export const sample = (options: SampleOptions & Seeded): Stage<TimeStep, Sampled, BackendError, Backend | Network> => {
  const source = sourceOf(options)
  return Stream.mapAccumEffect(
    (): Advanced | undefined => undefined,
    (state: Advanced | undefined, step: TimeStep) =>
      Effect.map(advanceRows(options, source, state, step), ({ past, ...sampled }) =>
        [(past === undefined ? sampled : { ...sampled, past }) as Advanced | undefined, [sampled as Sampled]] as const)
  )
}

/**
 * What training changes: weights, their moving average, the optimiser's moments and the count of steps.
 */
import type * as tf from "@tensorflow/tfjs-core"
import { Context, Effect, Layer, type Scope } from "effect"
import { Backend, type BackendError } from "./Backend.ts"
import { type Elf, ropeFor } from "./Elf.ts"
import { initialAverage } from "./Ema.ts"
import { type FlowProcess, publishedProcess } from "./FlowProcess.ts"
import { releaseElf, Network } from "./Network.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { initialState, type OptimizerOptions, type OptimizerState } from "./Optimizer.ts"
import { dispose, download, type HostTensor, upload } from "./Parameters.ts"

/** The mutable state of one run. Its tensors are replaced in place by `train`, one step at a time. */
export interface TrainStateFields {
  readonly elf: Elf & { readonly parameters: Record<string, tf.Tensor> }
  readonly average: Record<string, tf.Tensor>
  readonly optimizer: OptimizerState
  /** Sums of gradients since the last update; empty between updates. */
  readonly accumulated: Record<string, tf.Tensor>
  /** Batches seen: with gradient accumulation, several make one update. */
  step: number
}

/** A state's tensors on the host: what a checkpoint holds. */
export interface TrainSnapshot {
  readonly step: number
  readonly updates: number
  readonly model: ReadonlyArray<HostTensor>
  readonly average: ReadonlyArray<HostTensor>
  readonly moments: ReadonlyArray<HostTensor>
  /** Empty unless the snapshot was taken between two batches of one update. */
  readonly accumulated: ReadonlyArray<HostTensor>
}

/** Initial weights, or a snapshot to go on from. */
export type TrainOrigin = ReadonlyArray<HostTensor> | TrainSnapshot

/** How a run starts: from initial weights, or from a snapshot. */
export interface TrainStart {
  readonly config: ModelConfig
  readonly optimizer: OptimizerOptions
  /** A function is called when the state is built: then nobody holds the values on the host beside those on the device. */
  readonly from: TrainOrigin | (() => TrainOrigin)
  /** What samplers of the network in training use; default: that of the published models. */
  readonly process?: FlowProcess
}

export class TrainState extends Context.Service<TrainState, TrainStateFields>()("elf-streams/model/TrainState") {
  /** The state and, for self-conditioning and held-out samples, its current weights as the network. */
  static readonly layer = (start: TrainStart): Layer.Layer<TrainState | Network, BackendError, Backend> =>
    Layer.effect(Network, Effect.map(TrainState, ({ elf, optimizer }) =>
      Network.of({ elf, process: start.process ?? publishedProcess, updates: () => optimizer.updates }))).pipe(
      Layer.provideMerge(Layer.effect(TrainState, make(start)))
    )
}

const isSnapshot = (from: TrainOrigin): from is TrainSnapshot => "moments" in from

const fresh = (config: ModelConfig, optimizer: OptimizerOptions, tensors: ReadonlyArray<HostTensor>): TrainStateFields => {
  const parameters = upload(tensors)
  return {
    elf: { config, parameters, rope: ropeFor(config) },
    average: initialAverage(parameters),
    optimizer: initialState(optimizer, parameters),
    accumulated: {},
    step: 0
  }
}

const restored = (config: ModelConfig, snapshot: TrainSnapshot): TrainStateFields => ({
  elf: { config, parameters: upload(snapshot.model), rope: ropeFor(config) },
  average: upload(snapshot.average),
  optimizer: { moments: upload(snapshot.moments), updates: snapshot.updates },
  accumulated: upload(snapshot.accumulated),
  step: snapshot.step
})

const release = (state: TrainStateFields): Effect.Effect<void> =>
  Effect.andThen(
    releaseElf(state.elf),
    Effect.sync(() => [state.average, state.optimizer.moments, state.accumulated].forEach(dispose))
  )

const stateOf = ({ config, from, optimizer }: TrainStart): TrainStateFields => {
  const origin = typeof from === "function" ? from() : from
  return isSnapshot(origin) ? restored(config, origin) : fresh(config, optimizer, origin)
}

const make = (start: TrainStart): Effect.Effect<TrainStateFields, BackendError, Backend | Scope.Scope> =>
  Effect.flatMap(Backend, (backend) =>
    Effect.acquireRelease(
      backend.kernel("uploadTrainState", () => stateOf(start)),
      release
    ))

/** Copies the state to the host. */
export const snapshot = (state: TrainStateFields): TrainSnapshot => ({
  step: state.step,
  updates: state.optimizer.updates,
  model: [...download(state.elf.parameters)],
  average: [...download(state.average)],
  moments: [...download(state.optimizer.moments)],
  accumulated: [...download(state.accumulated)]
})

const overwrite = (tensors: Record<string, tf.Tensor>, from: ReadonlyArray<HostTensor>): void => {
  dispose(tensors)
  for (const name of Object.keys(tensors)) delete tensors[name]
  Object.assign(tensors, upload(from))
}

/** Puts `state` back to where `from` was taken, without a new network. Synchronous; call it inside a kernel. */
export const restore = (state: TrainStateFields, from: TrainSnapshot): void => {
  overwrite(state.elf.parameters, from.model)
  overwrite(state.average, from.average)
  overwrite(state.optimizer.moments, from.moments)
  overwrite(state.accumulated, from.accumulated)
  state.optimizer.updates = from.updates
  state.step = from.step
}

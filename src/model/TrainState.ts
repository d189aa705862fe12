/**
 * What training changes: weights, their moving average, the optimiser's moments and the count of steps.
 */
import type * as tf from "@tensorflow/tfjs-core"
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import { Backend, type BackendError } from "./Backend.ts"
import type { Elf } from "./Elf.ts"
import { initialAverage } from "./Ema.ts"
import { type FlowProcess, publishedProcess } from "./FlowProcess.ts"
import { Network, releaseElf, uploadElf } from "./Network.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { initialState, type OptimizerOptions, type OptimizerState } from "./Optimizer.ts"
import { ownAll } from "./OwnedTensors.ts"
import { dispose, download, type HostTensor, orRelease, upload } from "./Parameters.ts"

/** The mutable state of one run. Its tensors are replaced in place by `train`, one step at a time. */
export interface TrainStateFields {
  readonly elf: Elf & { readonly parameters: Record<string, tf.Tensor> }
  readonly average: Record<string, tf.Tensor>
  readonly optimizer: OptimizerState
  /** Sums of gradients since the last update; empty between updates. */
  readonly accumulated: Record<string, tf.Tensor>
  /** Batches seen: with gradient accumulation, several make one update. */
  step: number
  /** An update began and failed before its end: some tensors are those after it, some those before. */
  spoiled: boolean
}

/** The state is half updated, so nothing is trained on it or saved from it any more. */
export class SpoiledStateError extends Schema.TaggedError<SpoiledStateError>()("SpoiledStateError", {
  /** The step whose update failed halfway. */
  step: Schema.Int
}) {
  override get message(): string {
    return `The update of step ${this.step} failed halfway: some weights are changed and some are not. Nothing is saved from this state; go on from the last checkpoint.`
  }
}

/** Makes changes to the state; if one of them fails, the state is spoiled. */
export const changing = <A>(state: TrainStateFields, change: () => A): A => {
  state.spoiled = true
  const changed = change()
  state.spoiled = false
  return changed
}

/** Succeeds for a state that is that of a whole step. */
export const requireWhole = ({ spoiled, step }: TrainStateFields): Effect.Effect<void, SpoiledStateError> =>
  spoiled ? Effect.fail(new SpoiledStateError({ step: step + 1 })) : Effect.void

/** A state's tensors: what a checkpoint holds. Unless said otherwise they are on the host. */
export interface TrainSnapshot<Tensor = HostTensor> {
  readonly step: number
  readonly updates: number
  readonly model: ReadonlyArray<Tensor>
  readonly average: ReadonlyArray<Tensor>
  readonly moments: ReadonlyArray<Tensor>
  /** Empty unless the snapshot was taken between two batches of one update. */
  readonly accumulated: ReadonlyArray<Tensor>
}

/** A tensor that is copied to the host each time it is read. */
export interface DeviceTensor extends Omit<HostTensor, "data"> {
  readonly read: Effect.Effect<Float32Array, BackendError>
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

/** What a kernel made of the parts of a state, with the network it belongs to; nothing is left where a part cannot be made. */
const assemble = (config: ModelConfig, tensors: ReadonlyArray<HostTensor>, rest: (elf: TrainStateFields["elf"], own: (part: Record<string, tf.Tensor>) => Record<string, tf.Tensor>) => Omit<TrainStateFields, "elf" | "spoiled">): TrainStateFields => {
  const elf = uploadElf(config, tensors)
  const { cos, quarterTurn, sin } = elf.rope
  const parts: Array<Record<string, tf.Tensor>> = [elf.parameters, { cos, quarterTurn, sin }]
  const own = (part: Record<string, tf.Tensor>) => {
    parts.push(part)
    return part
  }
  return orRelease(parts, () => ({ elf, ...rest(elf, own), spoiled: false }))
}

const fresh = (config: ModelConfig, options: OptimizerOptions, tensors: ReadonlyArray<HostTensor>): TrainStateFields =>
  assemble(config, tensors, ({ parameters }, own) => {
    ownAll(parameters)
    const average = own(initialAverage(parameters))
    ownAll(average)
    return { average, optimizer: initialState(options, parameters), accumulated: {}, step: 0 }
  })

const restored = (config: ModelConfig, snapshot: TrainSnapshot): TrainStateFields =>
  assemble(config, snapshot.model, (_, own) => {
    const [average, moments] = [own(upload(snapshot.average)), own(upload(snapshot.moments))]
    return { average, optimizer: { moments, updates: snapshot.updates }, accumulated: upload(snapshot.accumulated), step: snapshot.step }
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

const copied = (state: TrainStateFields): TrainSnapshot => ({
  step: state.step,
  updates: state.optimizer.updates,
  model: [...download(state.elf.parameters)],
  average: [...download(state.average)],
  moments: [...download(state.optimizer.moments)],
  accumulated: [...download(state.accumulated)]
})

/**
 * The state where it lies, for a reader who takes one tensor at a time: nothing is copied beforehand.
 *
 * **Gotchas** A read fails with a `KernelError` once the state has taken another step. Fails with a `SpoiledStateError` for
 * one that is half updated.
 */
export const lazySnapshot: Effect.Effect<TrainSnapshot<DeviceTensor>, SpoiledStateError, Backend | TrainState> = Effect.gen(function*() {
  const backend = yield* Backend
  const state = yield* TrainState
  yield* requireWhole(state)
  const { optimizer: { updates }, step } = state
  const requireSame = () => {
    if (state.step !== step || state.spoiled) throw new Error(`the training state went on from step ${step} while it was read; save it before the next step`)
  }
  const deferred = (tensors: Record<string, tf.Tensor>) =>
    Object.entries(tensors).map(([name, tensor]): DeviceTensor => ({
      name,
      shape: tensor.shape,
      read: backend.kernel("download", () => {
        requireSame()
        return tensor.dataSync() as Float32Array
      })
    }))
  return { step, updates, model: deferred(state.elf.parameters), average: deferred(state.average), moments: deferred(state.optimizer.moments), accumulated: deferred(state.accumulated) }
})

/** Copies the state to the host; throws a {@link SpoiledStateError} for one that is half updated. */
export const snapshot = (state: TrainStateFields): TrainSnapshot => {
  if (state.spoiled) throw new SpoiledStateError({ step: state.step + 1 })
  return copied(state)
}

const overwrite = (tensors: Record<string, tf.Tensor>, from: ReadonlyArray<HostTensor>): void => {
  dispose(tensors)
  for (const name of Object.keys(tensors)) delete tensors[name]
  Object.assign(tensors, upload(from))
}

/** Puts `state` back to where `from` was taken, without a new network. Synchronous; call it inside a kernel. */
export const restore = (state: TrainStateFields, from: TrainSnapshot): void => changing(state, () => {
  overwrite(state.elf.parameters, from.model)
  overwrite(state.average, from.average)
  overwrite(state.optimizer.moments, from.moments)
  overwrite(state.accumulated, from.accumulated)
  state.optimizer.updates = from.updates
  state.step = from.step
})

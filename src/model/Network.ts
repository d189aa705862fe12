/**
 * The network that samplers and self-conditioning run, as a service.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Context, Effect, Layer } from "effect"
import { Backend, type BackendError } from "./Backend.ts"
import { type Elf, ropeFor } from "./Elf.ts"
import { type FlowProcess, publishedProcess } from "./FlowProcess.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { dispose, type HostTensor, orRelease, upload } from "./Parameters.ts"
import { withHalves } from "./TextTokens.ts"

/** Everything an ELF network consists of, on the host. */
export interface ElfWeights {
  readonly config: ModelConfig
  readonly tensors: ReadonlyArray<HostTensor>
  /** Default: that of the published models. */
  readonly process?: FlowProcess
}

export class Network extends Context.Service<Network, {
  readonly elf: Elf
  readonly process: FlowProcess
  /** Counts the updates of the weights: what was computed at one count must not be mixed with another. */
  readonly updates: () => number
}>()("elf-streams/model/Network") {
  /** A network whose weights do not change; they are on the device as long as the layer lives. */
  static readonly layer = (weights: ElfWeights): Layer.Layer<Network, BackendError, Backend> =>
    Layer.effect(Network, Effect.map(Effect.flatMap(makeElf(weights), joined), (elf) => Network.of({ elf, process: weights.process ?? publishedProcess, updates: () => 0 })))
}

/** Copies a network to the device, all of it or nothing. It belongs to the caller. Call it inside a kernel. */
export const uploadElf = (config: ModelConfig, tensors: ReadonlyArray<HostTensor>): Elf & { readonly parameters: Record<string, tf.Tensor> } => {
  const parameters = upload(tensors)
  return { config, parameters, rope: orRelease([parameters], () => ropeFor(config)) }
}

/** Puts a network on the device for as long as the scope lives. */
export const makeElf = Effect.fnUntraced(function*({ config, tensors }: ElfWeights) {
  const backend = yield* Backend
  return yield* Effect.acquireRelease(
    backend.kernel("uploadNetwork", () => uploadElf(config, tensors)),
    releaseElf
  )
})

/** The network with its two projections of latents made one, for as long as the scope lives: for weights that never change. */
const joined = Effect.fnUntraced(function*(elf: Elf) {
  const backend = yield* Backend
  return yield* Effect.acquireRelease(
    backend.kernel("joinProjections", () => withHalves(elf)),
    ({ halves }) => Effect.sync(() => halves === undefined || tf.dispose([halves.bias, halves.weight]))
  )
})

/** Frees a network's weights and constants. */
export const releaseElf = ({ parameters, rope }: Elf): Effect.Effect<void> =>
  Effect.sync(() => {
    dispose(parameters)
    for (const table of [rope.cos, rope.sin, rope.quarterTurn]) table.dispose()
  })

/**
 * Trained networks: a checkpoint opened with all that sampling from it needs.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Stream } from "effect"
import { join } from "node:path"
import { Checkpoint, type RunConfig } from "../io/index.ts"
import type { Backend, BackendError } from "../model/Backend.ts"
import type { EmbedError, Encoder } from "../model/Encoder.ts"
import { Network } from "../model/Network.ts"
import type { TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import { type Generated, generate as generateStage } from "../streams/generate.ts"
import { encoderLayer, type LoadEncoderError, type LoadTokenizerError, tokenizerLayer } from "./encoder.ts"
import { shippedModels } from "./encoderPlace.ts"
import { samplerChoice, generateOptions, processOf, type SamplerChoice } from "./sampling.ts"
import { averagedTensors, checkpointConfig } from "./weights.ts"

/** What keeps a checkpoint from being opened. */
export type OpenError = Checkpoint.CheckpointError | RunConfig.RunConfigError

/** A network and what it was trained with. Nothing is on the device until one of its layers is built. */
export interface Pretrained {
  /** Optimiser steps it was trained for. */
  readonly step: number
  /** The run file it was trained by, defaults filled in and paths absolute. */
  readonly run: RunConfig.RunConfig
  /** The network: the moving average of the weights, where the checkpoint has it. */
  readonly network: Layer.Layer<Network, BackendError, Backend>
  /** The frozen encoder that turns conditions into latents. */
  readonly encoder: Layer.Layer<Encoder, LoadEncoderError, Backend>
  /** The encoder's vocabulary. */
  readonly tokenizer: Layer.Layer<Tokenizer, LoadTokenizerError>
  /** Network, encoder and vocabulary together. */
  readonly layer: Layer.Layer<Network | Encoder | Tokenizer, LoadEncoderError | LoadTokenizerError, Backend>
}

/** Folder of the small network that ships with the package: State of the Union addresses, 64 tokens. */
export const sotu: string = join(shippedModels, "elf-sotu")

/** Opens a checkpoint: its folder, or the folder of a run, whose latest one is taken. */
export const open = (path: string): Effect.Effect<Pretrained, OpenError> =>
  Effect.gen(function*() {
    const checkpoint = yield* Checkpoint.read(path)
    const run = yield* checkpointConfig(checkpoint)
    const tensors = yield* averagedTensors(checkpoint, run.model)
    const network = Network.layer({ config: run.model, tensors, process: processOf(run) })
    const encoder = encoderLayer(run)
    const tokenizer = tokenizerLayer(run)
    return { step: checkpoint.step, run, network, encoder, tokenizer, layer: Layer.mergeAll(network, encoder, tokenizer) }
  })

/** What {@link generate} changes of the checkpoint's own sampler. */
export interface GenerateChange extends Partial<Omit<SamplerChoice, "count">> {
  /** Prompts that go through the network at once; changes no answer. Default 16. */
  readonly batchSize?: number
}

/**
 * Answers each prompt with the network in `path`, loaded when the stream starts and released when it ends.
 *
 * **When to use** For a stream of prompts and one network. Use {@link open} and the stage `generate` where the network
 * stays loaded longer than a stream, or is not alone.
 *
 * @example
 * ```ts
 * Stream.make("My fellow citizens").pipe(Pretrained.generate(Pretrained.sotu, { steps: 32 }))
 * ```
 */
export const generate = (path: string, { batchSize = 16, ...change }: GenerateChange = {}) =>
  <E, R>(prompts: Stream.Stream<string, E, R>): Stream.Stream<Generated, E | OpenError | LoadEncoderError | LoadTokenizerError | EmbedError | TokenizeError, R | Backend> =>
    Stream.unwrap(Effect.map(open(path), ({ layer, run }) =>
      prompts.pipe(
        generateStage(generateOptions(run, samplerChoice(run, change), batchSize)),
        Stream.provide(layer)
      )))

/**
 * The causal language model that judges texts, as a service: tokens in, their surprisal out.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Context, Effect, Layer } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { Backend, type BackendError } from "./Backend.ts"
import { type Gpt2Config, targetLosses } from "./Gpt2.ts"
import { dispose, type HostTensor, upload } from "./Parameters.ts"

/** Everything a GPT-2 consists of, on the host. */
export interface Gpt2Weights {
  readonly config: Gpt2Config
  readonly tensors: ReadonlyArray<HostTensor>
}

export class LanguageModel extends Context.Service<LanguageModel, {
  /** Token ids lie in [0, vocabulary). */
  readonly vocabulary: number
  /** Longest context of a token, in tokens. */
  readonly context: number
  /**
   * −ln p in nats of every token of each row but its first, given those before it. A row has at most `context + 1`
   * tokens; its result does not depend on the other rows.
   */
  readonly losses: (rows: ReadonlyArray<Int32Array>) => Effect.Effect<ReadonlyArray<Float32Array>, BackendError>
}>()("elf-streams/model/LanguageModel") {
  /** A GPT-2; its weights are on the device as long as the layer lives. */
  static readonly layerGpt2 = (weights: Gpt2Weights): Layer.Layer<LanguageModel, BackendError, Backend> => Layer.effect(LanguageModel, makeGpt2(weights))
}

/** Rows beside each other, filled up at their ends: the inputs without a row's last token, the targets without its first. */
const stacked = (rows: ReadonlyArray<Int32Array>, positions: number) => {
  const fill = (from: number) => {
    const out = new Int32Array(rows.length * positions)
    rows.forEach((row, i) => out.set(row.subarray(from, from + row.length - 1), i * positions))
    return tf.tensor2d(out, [rows.length, positions], "int32")
  }
  return { ids: fill(0), targets: fill(1) }
}

const makeGpt2 = Effect.fnUntraced(function*({ config, tensors }: Gpt2Weights) {
  const backend = yield* Backend
  const parameters = yield* Effect.acquireRelease(
    backend.kernel("uploadLanguageModel", () => upload(tensors)),
    (uploaded) => Effect.sync(() => dispose(uploaded))
  )
  return LanguageModel.of({
    vocabulary: config.vocab_size,
    context: config.n_positions,
    losses: (rows) => {
      const lengths = rows.map((row) => Math.max(0, row.length - 1))
      const positions = Math.max(0, ...lengths)
      requireArgument(positions <= config.n_positions, "LanguageModel.losses.rows", `of at most ${config.n_positions + 1} tokens`, positions + 1)
      if (positions === 0) return Effect.succeed(rows.map(() => new Float32Array(0)))
      return Effect.map(
        backend.kernel("languageModel", () => {
          const { ids, targets } = stacked(rows, positions)
          return targetLosses(parameters, config, ids, targets).dataSync() as Float32Array
        }),
        (losses) => lengths.map((length, i) => losses.slice(i * positions, i * positions + length))
      )
    }
  })
})

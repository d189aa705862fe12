/**
 * Losses and gradients of a whole batch, of which each process of a group holds some rows.
 *
 * Notable: everything that a step exchanges lies in one vector, the gradients first and the loss sums behind them, so that a
 * step waits for the others once. Gradients are added up undivided: what they are divided by is a sum itself.
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { Backend, type BackendError } from "../model/Backend.ts"
import { Collective, type PeerLostError } from "../model/Collective.ts"
import { denominator, lossAndGradients, type LossAndGradients, lossesOf, type LossSums, lossSumsAndGradients } from "../model/Loss.ts"
import { parameter, type Parameters } from "../model/Parameters.ts"
import type { TrainStateFields } from "../model/TrainState.ts"
import type { TrainableBatch } from "./train.ts"

/** A batch as a step sees it. */
export interface WholeBatch {
  /** In all processes. */
  readonly tokens: number
  /** Losses and gradients of the whole batch. Synchronous; call it inside a kernel, once. */
  readonly read: () => LossAndGradients
}

const sumNames = ["denoiser", "decoder", "denoiserWeight", "decoderWeight"] as const satisfies ReadonlyArray<keyof LossSums>

/** One for each training state, since a new one each step would be left to the garbage collector. */
const vectors = new WeakMap<TrainStateFields, Float32Array>()

const vectorOf = (state: TrainStateFields): Float32Array => {
  const numbers = Object.values(state.elf.parameters).reduce((sum, { size }) => sum + size, 0)
  const present = vectors.get(state) ?? new Float32Array(numbers + sumNames.length + 1)
  vectors.set(state, present)
  return present
}

/** The same order in all processes, wherever their parameters came from. */
const namesOf = (tensors: Parameters): ReadonlyArray<string> => Object.keys(tensors).toSorted()

const write = (vector: Float32Array, gradients: Parameters, sums: LossSums, tokens: number): void => {
  let at = 0
  for (const name of namesOf(gradients)) {
    const gradient = parameter(gradients, name)
    vector.set(gradient.dataSync() as Float32Array, at)
    at += gradient.size
  }
  vector.set([...sumNames.map((name) => sums[name]), tokens], at)
}

const read = (vector: Float32Array, parameters: Parameters): LossAndGradients => {
  const end = vector.length - sumNames.length - 1
  const sums = Object.fromEntries(sumNames.map((name, i) => [name, vector[end + i]!])) as LossSums
  const divisor = denominator(sums)
  for (let i = 0; i < end; i++) vector[i]! /= divisor
  let at = 0
  const gradients = namesOf(parameters).map((name) => {
    const { shape, size } = parameter(parameters, name)
    at += size
    return [name, tf.tensor(vector.subarray(at - size, at), shape, "float32")] as const
  })
  return { ...lossesOf(sums), gradients: Object.fromEntries(gradients) }
}

const inGroup = Effect.fnUntraced(function*(state: TrainStateFields, batch: TrainableBatch, sum: (vector: Float32Array) => Effect.Effect<void, PeerLostError>) {
  const vector = vectorOf(state)
  yield* (yield* Backend).kernel("gradients", () => {
    const { gradients, sums } = lossSumsAndGradients(state.elf, batch, batch.timeEpsilon, 1)
    write(vector, gradients, sums, batch.size * batch.length)
  })
  yield* sum(vector)
  return { tokens: vector.at(-1)!, read: () => read(vector, state.elf.parameters) }
})

/** What all processes' rows of a batch give together; for a process alone, its own. */
export const wholeBatch = (state: TrainStateFields, batch: TrainableBatch): Effect.Effect<WholeBatch, PeerLostError | BackendError, Backend> =>
  Effect.flatMap(Collective, ({ size, sum }) =>
    size > 1
      ? inGroup(state, batch, sum)
      : Effect.succeed({ tokens: batch.size * batch.length, read: () => lossAndGradients(state.elf, batch, batch.timeEpsilon) }))

/**
 * Sampling that ends, row by row, when the tokens no longer change.
 *
 * After each step the decoder reads x̂, the prediction that the rest of the path leads to. A row whose tokens have stayed
 * the same `window` times in a row is settled: x̂ becomes its sample, as if the next step went straight to t = 1, and it
 * leaves the batch. Rows know nothing of each other, so those that move on are as they would have been.
 */
import { Effect, Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { type RandomSource, type Seeded, sourceOf } from "../flow/Random.ts"
import type { TimeStep } from "../flow/TimeGrid.ts"
import type { Backend, BackendError } from "../model/Backend.ts"
import type { Network } from "../model/Network.ts"
import { type DecodeOptions, tokensOf } from "./decode.ts"
import { rowsOf } from "./rows.ts"
import { type Advanced, advanceRows, type SampleCondition, type Sampled, type SampleOptions } from "./sample.ts"
import type { Stage } from "./Stage.ts"

/** When a row is settled. */
export interface StableOptions extends SampleOptions, Pick<DecodeOptions, "without"> {
  /** How often in a row the tokens must stay the same, an integer ≥ 1; Infinity: never stops, and decodes nothing. */
  readonly window: number
  /** Tokens behind a row's first EOS are not part of its answer and may change; absent: all positions count. */
  readonly endOfSequenceId?: number
}

/** The state after a step, settled rows included. */
export interface Settling extends Sampled {
  /** Index of the step after which each row settled; −1: it has not. `[B]` */
  readonly settledAt: Int32Array
}

/** What is known of the rows that still move, and the whole batch as it was emitted last. */
interface Moving {
  /** Their places in the batch. */
  readonly rows: ReadonlyArray<number>
  readonly state: Advanced | undefined
  /** The tokens after the step before, and how often in a row they have been the same. */
  readonly ids: ReadonlyArray<Int32Array>
  readonly unchanged: ReadonlyArray<number>
  readonly emitted: Settling | undefined
}

const start = ({ keys }: StableOptions): Moving =>
  ({ rows: Array.from(keys.keys()), state: undefined, ids: [], unchanged: keys.map(() => 0), emitted: undefined })

const conditionOf = ({ latents, mask }: SampleCondition, rows: ReadonlyArray<number>, size: number): SampleCondition =>
  ({ latents: rowsOf(latents, rows, latents.length / size), mask: rowsOf(mask, rows, mask.length / size) })

/** The options for some rows of the batch. */
const optionsOf = (options: StableOptions, rows: ReadonlyArray<number>): StableOptions => {
  const { condition, keys } = options
  if (rows.length === keys.length) return options
  return { ...options, keys: rows.map((row) => keys[row]!), ...(condition === undefined ? {} : { condition: conditionOf(condition, rows, keys.length) }) }
}

/** `values` of all rows `[B, S, D]`, with those of `rows` put in their places. */
const scattered = (values: Float32Array, rows: ReadonlyArray<number>, some: Float32Array): Float32Array => {
  if (values.length === some.length) return some
  const size = some.length / rows.length
  const out = values.slice()
  rows.forEach((row, i) => out.set(some.subarray(i * size, (i + 1) * size), row * size))
  return out
}

/** The batch after a step of its moving rows. */
const merged = ({ emitted, rows }: Moving, { prediction, shape: [, length, width], step, z }: Advanced, size: number): Settling => {
  const before = emitted ?? { z, prediction, settledAt: new Int32Array(size).fill(-1) }
  return {
    step,
    shape: [size, length, width],
    z: scattered(before.z, rows, z),
    prediction: scattered(before.prediction, rows, prediction),
    settledAt: before.settledAt
  }
}

/** Whether two rows of tokens are the same answer: outside of the condition, up to the first EOS. */
const sameAnswer = (a: Int32Array, b: Int32Array, isCondition: (position: number) => boolean, endOfSequenceId: number | undefined): boolean => {
  for (let position = 0; position < a.length; position++) {
    if (isCondition(position)) continue
    if (a[position] !== b[position]) return false
    if (a[position] === endOfSequenceId) return true
  }
  return true
}

const countUnchanged = (options: StableOptions, { ids: before, rows, unchanged }: Moving, ids: ReadonlyArray<Int32Array>): ReadonlyArray<number> =>
  ids.map((tokens, i) => {
    const isCondition = (position: number) => (options.condition?.mask[rows[i]! * tokens.length + position] ?? 0) > 0
    return before.length > 0 && sameAnswer(before[i]!, tokens, isCondition, options.endOfSequenceId) ? unchanged[i]! + 1 : 0
  })

const stateOf = ({ past, prediction, shape: [size, length, width], step, z }: Advanced, kept: ReadonlyArray<number>): Advanced => {
  const rows = (values: Float32Array) => rowsOf(values, kept, values.length / size)
  return {
    step,
    shape: [kept.length, length, width],
    z: rows(z),
    prediction: rows(prediction),
    ...(past === undefined ? {} : { past: { t: past.t, velocity: rows(past.velocity) } })
  }
}

/** Takes the rows out whose tokens have been the same for the whole window; their sample is their prediction. */
const settle = (moving: Moving, window: number): Moving => {
  const { emitted, ids, rows, state, unchanged } = moving
  const places = Array.from(rows.keys())
  const kept = places.filter((i) => unchanged[i]! < window)
  if (kept.length === rows.length) return moving
  const { prediction, step, z } = emitted!
  const settled = places.filter((i) => unchanged[i]! >= window).map((i) => rows[i]!)
  return {
    rows: kept.map((i) => rows[i]!),
    state: stateOf(state!, kept),
    ids: kept.map((i) => ids[i]!),
    unchanged: kept.map((i) => unchanged[i]!),
    emitted: {
      ...emitted!,
      z: scattered(z, settled, rowsOf(prediction, settled, prediction.length / emitted!.shape[0])),
      settledAt: emitted!.settledAt.map((at, row) => settled.includes(row) ? step.index : at)
    }
  }
}

const move = Effect.fnUntraced(function*(options: StableOptions, source: RandomSource, moving: Moving, step: TimeStep) {
  if (moving.rows.length === 0) return { ...moving, emitted: { ...moving.emitted!, step } }
  const some = optionsOf(options, moving.rows)
  const state = yield* advanceRows(some, source, moving.state, step)
  const advanced: Moving = { ...moving, state, emitted: merged(moving, state, options.keys.length) }
  if (step.last || options.window === Infinity) return advanced
  const ids = yield* tokensOf(state, { ...some, from: "prediction" })
  return settle({ ...advanced, ids, unchanged: countUnchanged(options, moving, ids) }, options.window)
})

/**
 * `sample` that takes no more steps with a row once its tokens no longer change. It emits as many states as `sample`
 * does, settled rows among the others; when all rows are settled a step costs nothing, so it may go on or be cut short.
 *
 * **Details** Checking costs a decoder pass over the moving rows in each step but the last.
 *
 * **Gotchas** Tokens that stay the same for a while may still change: a settled row's text is one that the sampler would
 * have gone through, not always the one it would have ended with. A larger window is nearer to the full run.
 */
export const untilStable = (options: StableOptions & Seeded): Stage<TimeStep, Settling, BackendError, Backend | Network> => {
  const { window } = options
  requireArgument(window === Infinity || (Number.isSafeInteger(window) && window >= 1), "untilStable.window", "an integer ≥ 1, or Infinity", window)
  const source = sourceOf(options)
  return Stream.mapAccumEffect(
    () => start(options),
    (moving: Moving, step: TimeStep) => Effect.map(move(options, source, moving, step), (next) => [next, [next.emitted!]] as const)
  )
}

/**
 * The latents of conditions, each embedded at about its own length instead of the network's: a condition sees itself
 * only, so nothing behind it can matter.
 */
import { Effect } from "effect"
import { type EmbedError, Encoder, type EncoderRows } from "../model/Encoder.ts"
import { rungOf, rungs } from "./lengthBuckets.ts"
import { allGiven, givenLength, type Template } from "./Template.ts"

/** Every query sees the given tokens, and them only. `[P, P]` */
const writeMask = ({ given }: Template, positions: number, out: Float32Array): void => {
  for (let query = 0; query < positions; query++) out.set(given.subarray(0, positions), query * positions)
}

const isFull = ({ given }: Template, positions: number): boolean => given.length >= positions && given.subarray(0, positions).every((one) => one === 1)

/** Rows of `positions` tokens, padding where none is given; no mask where every token sees every token. */
const encoderRows = (templates: ReadonlyArray<Template>, positions: number, padId: number): EncoderRows => {
  const ids = new Int32Array(templates.length * positions).fill(padId)
  templates.forEach((template, row) =>
    template.given.subarray(0, positions).forEach((given, i) => { if (given === 1) ids[row * positions + i] = template.ids[i]! }))
  const rows = { size: templates.length, length: positions, ids }
  if (templates.every((template) => isFull(template, positions))) return rows
  const mask = new Float32Array(templates.length * positions ** 2)
  templates.forEach((template, row) => writeMask(template, positions, mask.subarray(row * positions ** 2, (row + 1) * positions ** 2)))
  return { ...rows, mask }
}

/** Positions that the encoder is given for a condition of `length` tokens, of a network with `maximum` positions. */
export const encodedPositions = (length: number, maximum: number): number => length === 0 ? 0 : rungOf(length, maximum)

/**
 * Latents of the given tokens of each template, `[B, S, D]` with S = `length`, at their own positions; behind the last
 * given token they are zero, and in blanks before it they mean nothing. Rungs end at `maximum`, by default `length`.
 *
 * **Details** Templates whose lengths share a rung go through the encoder together; the rung follows from a template's
 * own length, so its latents do not depend on the others.
 */
export const givenLatents = Effect.fnUntraced(function*(
  templates: ReadonlyArray<Template>,
  length: number,
  padId: number,
  maximum: number = length
): Effect.fn.Return<Float32Array, EmbedError, Encoder> {
  const { embed, width } = yield* Encoder
  const latents = new Float32Array(templates.length * length * width)
  for (const [positions, rows] of rungs(templates.map(givenLength), maximum)) {
    const embedded = yield* embed(encoderRows(rows.map((row) => templates[row]!), positions, padId))
    rows.forEach((row, i) => {
      const from = i * positions * width
      latents.set(embedded.subarray(from, from + givenLength(templates[row]!) * width), row * length * width)
    })
  }
  return latents
})

/** {@link givenLatents} of whole conditions of at most `length` tokens. */
export const conditionLatents = (
  conditions: ReadonlyArray<Int32Array>,
  length: number,
  padId: number,
  maximum: number = length
): Effect.Effect<Float32Array, EmbedError, Encoder> => givenLatents(conditions.map(allGiven), length, padId, maximum)

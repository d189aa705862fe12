/**
 * Which part of a row is the condition, and whether the network gets to see it. Both are drawn row by row.
 *
 * @since 0.1.0
 */
import { Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { type Seeded, sourceOf } from "../flow/Random.ts"
import type { LabelledSequence, Sequence } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"

const requireProbability = (name: string, probability: number): void =>
  requireArgument(probability >= 0 && probability <= 1, `${name}.probability`, "in [0, 1]", probability)

/**
 * Makes the beginning of a passage its condition, so that the rest of the passage is what the network learns to write.
 *
 * **Details** With `probability`, a row gets a condition of `minimum` to `maximum` tokens, all lengths alike, but at
 * least one token is left to write; rows of `minimum` tokens and less stay as they are. Ids and order are kept.
 * Draws: purpose "splitCondition", index of the row.
 */
export const splitCondition = (
  options: Seeded & {
    /** Share of the rows, in [0, 1]. */
    readonly probability: number
    /** Shortest condition, ≥ 1 token. */
    readonly minimum: number
    /** Longest condition, ≥ `minimum`. */
    readonly maximum: number
  }
): Stage<Sequence, Sequence> => {
  const { maximum, minimum, probability } = options
  requireProbability("splitCondition", probability)
  requireArgument(Number.isSafeInteger(minimum) && minimum >= 1, "splitCondition.minimum", "an integer ≥ 1", minimum)
  requireArgument(
    Number.isSafeInteger(maximum) && maximum >= minimum,
    "splitCondition.maximum",
    `an integer ≥ ${minimum}`,
    maximum
  )
  const source = sourceOf(options)
  return Stream.map((row: Sequence) => {
    const longest = Math.min(maximum, row.length - 1)
    const [chosen, share] = source.uniform({ purpose: "splitCondition", index: row.index }, 2)
    if (chosen! >= probability || longest < minimum) return row
    return { ...row, conditionLength: minimum + Math.floor(share! * (longest - minimum + 1)) }
  })
}

/**
 * Decides for each row whether its condition is hidden from the network in this step (`labelDropped`), which teaches it
 * the unconditional field that guidance needs. Nothing else changes.
 *
 * **Details** Draws: purpose "dropLabels", index of the row.
 *
 * @source ELF `src/utils/data_utils.py`, `prepare_batch`
 */
export const dropLabels = (
  options: Seeded & {
    /** Share of the rows, in [0, 1]. */
    readonly probability: number
  }
): Stage<Sequence, LabelledSequence> => {
  requireProbability("dropLabels", options.probability)
  const source = sourceOf(options)
  return Stream.map((row: Sequence) => ({
    ...row,
    labelDropped: source.uniform({ purpose: "dropLabels", index: row.index }, 1)[0]! < options.probability
  }))
}

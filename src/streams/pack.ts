/**
 * Token ids of any length → sequences of exactly one length.
 *
 * `pack` to length 6 of the documents a (4 tokens), b (5) and c (2); EOS is written · and padding _
 *
 * | index | ids         | length | resume: documents, offset   |
 * | ----- | ----------- | ------ | --------------------------- |
 * | 0     | a a a a · b | 6      | 1, 2 (EOS and one of b)     |
 * | 1     | b b b b · c | 6      | 2, 2                        |
 * | 2     | c _ _ _ _ _ | 1      | 3, 0                        |
 *
 * @since 0.1.0
 */
import { type Array as Arr, Effect, Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"
import { PackResumeError } from "./errors.ts"
import type { PackPosition, Sequence } from "./Sequence.ts"
import type { Stage } from "./Stage.ts"
import type { TokenPair } from "./tokenize.ts"

export interface PackOptions {
  /** S, tokens in a sequence. */
  readonly length: number
  readonly endOfSequenceId: number
  readonly padId: number
  /** What becomes of the tokens left over at the end: one padded sequence (the default), or nothing. */
  readonly remainder?: "pad" | "drop"
  /** Where to go on: `resume` of the last sequence that was used. The upstream starts at its document number. */
  readonly from?: PackPosition
}

const start: PackPosition = { documents: 0, offset: 0, index: 0 }

const isPosition = (position: PackPosition): boolean =>
  Object.values(position).every((count) => Number.isSafeInteger(count) && count >= 0)

const requireOptions = (name: string, options: { readonly length: number; readonly from?: PackPosition }): void => {
  const { from = start, length } = options
  requireArgument(Number.isSafeInteger(length) && length >= 1, `${name}.length`, "an integer ≥ 1", length)
  requireArgument(isPosition(from), `${name}.from`, "integers ≥ 0", JSON.stringify(from))
}

/** Collects tokens until a sequence is full. It is mutable and belongs to one run of one stream. */
const makePacker = ({ endOfSequenceId, from = start, length, padId, remainder = "pad" }: PackOptions) => {
  let { documents, index, offset } = from
  let filled = 0
  let ids = new Int32Array(length).fill(padId)

  const withSeparator = (document: Int32Array): Int32Array => {
    if (documents === 0) return document
    const unit = new Int32Array(document.length + 1)
    unit[0] = endOfSequenceId
    unit.set(document, 1)
    return unit
  }

  const flush = (): Sequence => {
    const sequence = { ids, length: filled, conditionLength: 0, index, resume: { documents, offset, index: index + 1 } }
    ids = new Int32Array(length).fill(padId)
    filled = 0
    index++
    return sequence
  }

  /** The sequences that a document completes. */
  const add = (document: Int32Array): ReadonlyArray<Sequence> => {
    const unit = withSeparator(document)
    const full: Array<Sequence> = []
    do {
      const taken = unit.subarray(offset, offset + length - filled)
      ids.set(taken, filled)
      filled += taken.length
      offset += taken.length
      const done = offset === unit.length
      if (done) {
        documents++
        offset = 0
      }
      if (filled === length) full.push(flush())
      if (done) return full
    } while (true)
  }

  /** Whether `document` can be the one to go on in. */
  const accept = (document: Int32Array): Effect.Effect<void, PackResumeError> => {
    const length = withSeparator(document).length
    return offset <= length ? Effect.void : Effect.fail(new PackResumeError({ document: documents, offset, length }))
  }

  return { accept, add, rest: (): ReadonlyArray<Sequence> => remainder === "pad" && filled > 0 ? [flush()] : [] }
}

/**
 * Joins documents end to end, with EOS between them, and cuts every `length` tokens; only the last sequence is padded.
 *
 * **Details** No token is lost or repeated: the valid ids joined and split at EOS are the documents (with
 * `remainder: "drop"`, less than `length` tokens at the very end are). Each sequence says where packing goes on after
 * it, so a stopped run resumes to the same sequences from `documents` on, without a second look at the earlier ones.
 */
export const pack = (options: PackOptions): Stage<Int32Array, Sequence, PackResumeError> => {
  requireOptions("pack", options)
  return Stream.mapAccumArrayEffect(
    () => makePacker(options),
    (packer, documents: Arr.NonEmptyReadonlyArray<Int32Array>) =>
      Effect.map(packer.accept(documents[0]), () => [packer, documents.flatMap(packer.add)] as const),
    { onHalt: (packer) => packer.rest() }
  )
}

export interface PackPairsOptions {
  /** S, tokens in a sequence. */
  readonly length: number
  /** Longest condition, in tokens; what is over it is cut off. At most `length`. */
  readonly maximumCondition: number
  /** Fills up each sequence: the padding token, or EOS where the model learns to end with it. */
  readonly padId: number
  /** Where to go on: `resume` of the last sequence that was used. The upstream starts at its pair. */
  readonly from?: PackPosition
}

/**
 * One sequence a pair: the condition cut to `maximumCondition`, the target, all cut to `length`, padding.
 *
 * **Details** Order is kept and each pair gives exactly one sequence.
 *
 * **Gotchas** No EOS is added: it appears only as padding, when `padId` is EOS.
 *
 * @source ELF `src/utils/data_utils.py`, `collate_fn`, `pad_and_truncate`
 */
export const packPairs = (options: PackPairsOptions): Stage<TokenPair, Sequence> => {
  const { from = start, length, maximumCondition, padId } = options
  requireOptions("packPairs", options)
  requireArgument(
    Number.isSafeInteger(maximumCondition) && maximumCondition >= 0 && maximumCondition <= length,
    "packPairs.maximumCondition",
    `an integer in [0, ${length}]`,
    maximumCondition
  )
  const next = ({ documents, index }: PackPosition): PackPosition => ({
    documents: documents + 1,
    offset: 0,
    index: index + 1
  })
  const one = ({ condition, target }: TokenPair, position: PackPosition): Sequence => {
    const kept = condition.subarray(0, maximumCondition)
    const follows = target.subarray(0, length - kept.length)
    const ids = new Int32Array(length).fill(padId)
    ids.set(kept)
    ids.set(follows, kept.length)
    return {
      ids,
      length: kept.length + follows.length,
      conditionLength: kept.length,
      index: position.index,
      resume: next(position)
    }
  }
  return Stream.mapAccum(
    () => from,
    (position: PackPosition, pair: TokenPair) => [next(position), [one(pair, position)]]
  )
}

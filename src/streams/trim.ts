/**
 * The ids that a decoder answers with → the ids of the text: what lies before the answer and after its end is cut off.
 *
 * @source ELF `src/utils/generation_utils.py`, `shift_left`, `mask_after_eos`
 * @since 0.1.0
 */

/** Moves `ids` (`[S]`) to the left by `count` ≥ 0 places, over the condition; the freed end gets `padId`. */
export const shiftLeft = (ids: Int32Array, count: number, padId: number): Int32Array => {
  const out = new Int32Array(ids.length).fill(padId)
  out.set(ids.subarray(count))
  return out
}

/** `ids` (`[S]`) with the first EOS and everything behind it replaced by `padId`. */
export const padAfterEndOfSequence = (ids: Int32Array, endOfSequenceId: number, padId: number): Int32Array => {
  const end = ids.indexOf(endOfSequenceId)
  return end === -1 ? ids.slice() : ids.slice().fill(padId, end)
}

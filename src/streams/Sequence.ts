/**
 * What flows between packing and training: one row of tokens, the row with its latents, and a batch of rows.
 * All of it is host data, so it may wait in a buffer and be dropped without leaking device memory.
 *
 * @since 0.1.0
 */

/**
 * Where packing goes on after a sequence. Give it to `pack` as `from`, and to that `pack` the documents from number
 * `documents` on: the sequences that follow are the same as if the first run had never stopped.
 */
export interface PackPosition {
  /** Documents (or pairs) that are used up; number of the next one to read. */
  readonly documents: number
  /** Tokens of that next document, its leading EOS included, that are used up already. */
  readonly offset: number
  /** `index` of the next sequence. */
  readonly index: number
}

/** One row of exactly S tokens. */
export interface Sequence {
  /** Token ids, `[S]`. */
  readonly ids: Int32Array
  /** Valid tokens; positions ≥ length are padding. */
  readonly length: number
  /** Positions < conditionLength are the condition; 0 ≤ conditionLength ≤ length. */
  readonly conditionLength: number
  /** Position in the stream: the key of every random draw of this row. */
  readonly index: number
  /** Where packing goes on after this sequence; absent when the row does not come from a packer. */
  readonly resume?: PackPosition | undefined
}

/** A row of which it is decided whether its condition is hidden from the network in training. */
export interface LabelledSequence extends Sequence {
  readonly labelDropped: boolean
}

/** A row with the latents of its tokens. */
export interface EmbeddedSequence extends LabelledSequence {
  /** Normalised latents, `[S, D]`. */
  readonly latents: Float32Array
}

/** B rows of S tokens with latents of width D, row-major. */
export interface LatentBatch {
  /** B. */
  readonly size: number
  /** S. */
  readonly length: number
  /** D. */
  readonly width: number
  /** `[B, S]`. */
  readonly ids: Int32Array
  /** `[B, S, D]`. */
  readonly latents: Float32Array
  /** `[B, S]`, 1 = valid, 0 = padding. */
  readonly attentionMask: Float32Array
  /** `[B, S]`, 1 = condition. */
  readonly conditionMask: Float32Array
  /** `[B]`, 1 = the row's condition is hidden. */
  readonly labelDropped: Uint8Array
  /** `[B]`, `Sequence.index` of each row. */
  readonly indices: ReadonlyArray<number>
  /** Where packing goes on after the last row. */
  readonly resume?: PackPosition | undefined
}

/**
 * What the data stages refuse. Each error names the place and the remedy.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/** A row does not have the shape of the rows before it, so no batch can hold both. */
export class BatchShapeError extends Schema.TaggedError<BatchShapeError>()("BatchShapeError", {
  /** `Sequence.index` of the row. */
  row: Schema.Number,
  /** `[S, D]` of the first row. */
  expected: Schema.Array(Schema.Number),
  /** `[S, D]` of this row; a fraction when the latents do not divide into S rows. */
  received: Schema.Array(Schema.Number)
}) {
  override get message(): string {
    const [received, expected] = [this.received.join(", "), this.expected.join(", ")]
    return `Row ${this.row} has shape [${received}], but the first row had [${expected}]. ` +
      "Pack all rows to one length and embed them with one encoder before batching."
  }
}

/** The position to go on from lies beyond the document that the upstream starts with, so the data is not the same. */
export class PackResumeError extends Schema.TaggedError<PackResumeError>()("PackResumeError", {
  /** Number of the document. */
  document: Schema.Number,
  /** Tokens of it that are said to be used up. */
  offset: Schema.Number,
  /** Tokens it has, its leading EOS included. */
  length: Schema.Number
}) {
  override get message(): string {
    return `Cannot resume in document ${this.document}: ${this.offset} of its tokens are used up, but it has ` +
      `${this.length}. Resume on the data of the first run, starting at document ${this.document}.`
  }
}

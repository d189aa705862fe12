/**
 * The error of encoders that run on ONNX Runtime.
 */
import { Schema } from "effect"

const Reason = Schema.Literals([
  /** `@huggingface/transformers` is not installed. */
  "missingLibrary",
  /** The folder or its file cannot be read, or is no encoder. */
  "load",
  /** The encoder cannot tell apart what the mask tells apart. */
  "mask",
  /** The encoder failed while it ran. */
  "run"
])

/** An ONNX encoder cannot be had or used: which file, why, and what to do. */
export class OnnxEncoderError extends Schema.TaggedError<OnnxEncoderError>()("OnnxEncoderError", {
  file: Schema.String,
  reason: Reason,
  detail: Schema.String,
  remedy: Schema.String,
  /** Row of the batch, counted from 0, where one is meant. */
  row: Schema.optionalKey(Schema.Number)
}) {
  override get message(): string {
    return `The ONNX encoder ${this.file} cannot be used: ${this.detail}. ${this.remedy}.`
  }
}

/** An error about a file. */
export const failing = (file: string) => (reason: OnnxEncoderError["reason"], detail: string, remedy: string, row?: number): OnnxEncoderError =>
  new OnnxEncoderError({ file, reason, detail, remedy, ...(row === undefined ? {} : { row }) })

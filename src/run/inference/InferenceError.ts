/**
 * What keeps a batch inference from starting or going on.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/** The request, its output folder or its input is not as it must be. */
export class InferenceError extends Schema.TaggedError<InferenceError>()("InferenceError", {
  reason: Schema.Literals(["request", "changed", "columns", "output", "input"]),
  /** What it is about: a folder, a file or an option. */
  where: Schema.String,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.where}: ${this.detail}. ${this.remedy}.`
  }
}

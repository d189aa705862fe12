/**
 * What keeps an evaluation from starting or going on.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { sentence } from "../../io/sentence.ts"

/** The request, its data, its scorer or its output folder is not as it must be. */
export class EvaluationError extends Schema.TaggedError<EvaluationError>()("EvaluationError", {
  reason: Schema.Literals(["request", "data", "scorer", "output"]),
  /** What it is about: a file, a folder or an option. */
  where: Schema.String,
  /** Line of a text file, from 1. */
  line: Schema.optionalKey(Schema.Int),
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return sentence(this.line === undefined ? this.where : `${this.where} (line ${this.line})`, this.detail, this.remedy)
  }
}

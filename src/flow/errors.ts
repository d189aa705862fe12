/**
 * What the mathematics refuses, and why.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * An argument outside of a function's domain, such as a time grid of zero steps.
 *
 * The functions of `flow/` are synchronous, so it is thrown; run files are checked by their schema long before.
 */
export class ArgumentError extends Schema.TaggedError<ArgumentError>()("ArgumentError", {
  /** The function that refused, e.g. `TimeGrid.uniform`. */
  function: Schema.String,
  /** The argument's name, e.g. `steps`. */
  argument: Schema.String,
  /** What the argument has to be, e.g. `an integer ≥ 1`. */
  expected: Schema.String,
  /** The value as text. */
  received: Schema.String
}) {
  override get message(): string {
    return `${this.function}: ${this.argument} must be ${this.expected}, but it is ${this.received}.`
  }
}

/** A recorded source was asked for draws that its record does not hold. */
export class RecordedDrawError extends Schema.TaggedError<RecordedDrawError>()("RecordedDrawError", {
  purpose: Schema.String,
  index: Schema.Number,
  step: Schema.Number,
  /** First value asked for, counted from the start of the purpose's record. */
  offset: Schema.Number,
  /** How many values were asked for. */
  length: Schema.Number,
  /** How many values the record holds; 0 for an unknown purpose. */
  available: Schema.Number,
  /** The purposes on record. */
  purposes: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const where = `"${this.purpose}" (index ${this.index}, step ${this.step})`
    return this.purposes.includes(this.purpose)
      ? `The record of ${where} ends: values ${this.offset} to ${this.offset + this.length} were asked for, ` +
        `it holds ${this.available}. Record more draws, or check the rule that finds a row.`
      : `Nothing is on record for ${where}. Purposes on record: ${this.purposes.join(", ") || "none"}.`
  }
}

/** Throws an {@link ArgumentError} unless `holds`; `where` is `function.argument`, e.g. `TimeGrid.uniform.steps`. */
export const requireArgument = (holds: boolean, where: string, expected: string, received: unknown): void => {
  if (holds) return
  const dot = where.lastIndexOf(".")
  throw new ArgumentError({
    function: where.slice(0, dot),
    argument: where.slice(dot + 1),
    expected,
    received: String(received)
  })
}

/**
 * What keeps a checkpoint from being converted, besides errors of its own format.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Mismatch } from "../io/CheckpointError.ts"
import { sentence } from "../io/sentence.ts"

const Reason = Schema.Literals(["unknownInput", "orbax", "noConfiguration", "noAverage", "sizes", "parameters", "output"])

/** What is wrong with the input or the request, and what to do; `mismatches` lists every parameter that does not fit. */
export class ConvertError extends Schema.TaggedError<ConvertError>()("ConvertError", {
  path: Schema.String,
  reason: Reason,
  detail: Schema.String,
  remedy: Schema.String,
  mismatches: Schema.optionalKey(Schema.Array(Mismatch))
}) {
  override get message(): string {
    return sentence(this.path, this.detail, this.remedy)
  }
}

/** Makes errors about one path. */
export const failing = (path: string) => (reason: ConvertError["reason"], detail: string, remedy: string): ConvertError =>
  new ConvertError({ path, reason, detail, remedy })

const shown = 20
const shape = (sizes: ReadonlyArray<number> | undefined): string => `[${(sizes ?? []).join(", ")}]`

const listed = (title: string, lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.length === 0 ? [] : [`${lines.length} ${title}: ${lines.slice(0, shown).join(", ")}${lines.length > shown ? ` and ${lines.length - shown} more` : ""}`]

/** The error that lists missing, unexpected and mis-shaped parameters. */
export const parametersError = (path: string, section: string, mismatches: ReadonlyArray<Mismatch>): ConvertError => {
  const missing = mismatches.filter(({ actual }) => actual === undefined)
  const extra = mismatches.filter(({ expected }) => expected === undefined)
  const other = mismatches.filter(({ actual, expected }) => actual !== undefined && expected !== undefined)
  const parts = [
    ...listed("missing", missing.map(({ expected, tensor }) => `${tensor} ${shape(expected)}`)),
    ...listed("not expected", extra.map(({ actual, tensor }) => `${tensor} ${shape(actual)}`)),
    ...listed("of another shape", other.map(({ actual, expected, tensor }) => `${tensor} is ${shape(actual)} instead of ${shape(expected)}`))
  ]
  return new ConvertError({
    path,
    reason: "parameters",
    detail: `the parameters of section "${section}" are not those of an ELF network (${parts.join("; ")})`,
    remedy: "nothing was written; use a whole checkpoint",
    mismatches
  })
}

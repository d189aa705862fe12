/**
 * What keeps a run file from being used.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/** A run file that cannot be used: every problem in a sentence of its own. */
export class RunConfigError extends Schema.TaggedError<RunConfigError>()("RunConfigError", {
  file: Schema.String,
  problems: Schema.NonEmptyArray(Schema.String)
}) {
  override get message(): string {
    const { file, problems } = this
    if (problems.length === 1) return `${file}: ${problems[0]}${problems[0].endsWith("?") ? "" : "."}`
    return [`${file} has ${problems.length} problems:`, ...problems.map((problem) => `  - ${problem}`)].join("\n")
  }
}

/** What a person still reads of a file that is no run file at all. */
const [mostShown, longestShown] = [30, 500]

/** The error of `file` with at least one problem. */
export const failing = (file: string, problems: ReadonlyArray<string>): RunConfigError => {
  const shown = problems.slice(0, mostShown).map((problem) => problem.length > longestShown ? `${problem.slice(0, longestShown)}…` : problem)
  const more = problems.length > mostShown ? [`and ${problems.length - mostShown} more`] : []
  return new RunConfigError({ file, problems: [...shown, ...more] as [string, ...Array<string>] })
}

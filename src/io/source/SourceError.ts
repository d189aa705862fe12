/**
 * The one error of reading bytes, wherever they are.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { DiskError } from "../Disk.ts"
import { sentence } from "../sentence.ts"

const Reason = Schema.Literals(["missing", "denied", "noRanges", "changed", "cutOff", "network", "disk", "unsupported"])

/** What went wrong with a file or URL, and what to do. */
export class SourceError extends Schema.TaggedError<SourceError>()("SourceError", {
  source: Schema.String,
  reason: Reason,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return sentence(this.source, this.detail, this.remedy)
  }
}

/** Makes errors about one source. */
export const failing = (source: string) => (reason: SourceError["reason"], detail: string, remedy: string): SourceError =>
  new SourceError({ source, reason, detail, remedy })

/** Turns a disk failure into a {@link SourceError}. */
export const fromDiskError = (source: string) => (error: DiskError): SourceError =>
  failing(source)("disk", `could not ${error.operation} ${error.path} (${error.code})`, error.remedy)

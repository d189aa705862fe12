/**
 * The one error of reading and writing checkpoints.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { DiskError } from "./Disk.ts"
import { sentence } from "./sentence.ts"
import type { SafetensorsError } from "./SafetensorsError.ts"

const Reason = Schema.Literals(["missing", "damaged", "unsupported", "shape", "badInput", "disk"])

/** A tensor that is missing (no `actual`), one too many (no `expected`), or of another shape. */
export const Mismatch = Schema.Struct({
  tensor: Schema.String,
  expected: Schema.optionalKey(Schema.Array(Schema.Int)),
  actual: Schema.optionalKey(Schema.Array(Schema.Int))
})
export type Mismatch = typeof Mismatch.Type

/** What is wrong with a checkpoint, where, and what to do; `mismatches` lists every tensor of another shape. */
export class CheckpointError extends Schema.TaggedError<CheckpointError>()("CheckpointError", {
  path: Schema.String,
  reason: Reason,
  detail: Schema.String,
  remedy: Schema.String,
  section: Schema.optionalKey(Schema.String),
  mismatches: Schema.optionalKey(Schema.Array(Mismatch))
}) {
  override get message(): string {
    return sentence(this.path, this.detail, this.remedy)
  }
}

/** A checkpoint that is not as it was written. */
export const damaged = (path: string, detail: string, section?: string): CheckpointError =>
  new CheckpointError({
    path,
    reason: "damaged",
    detail,
    remedy: "use another checkpoint",
    ...(section === undefined ? {} : { section })
  })

/** Turns a disk failure into a {@link CheckpointError}. */
export const fromDiskError = (path: string) => (error: DiskError): CheckpointError =>
  new CheckpointError({
    path,
    reason: "disk",
    detail: `could not ${error.operation} ${error.path} (${error.code})`,
    remedy: error.remedy
  })

/** Turns a failure of one section's file into a {@link CheckpointError}. */
export const fromSafetensorsError = (path: string, section: string) => (error: SafetensorsError): CheckpointError => {
  const tensor = error.tensor === undefined ? "" : ` (tensor "${error.tensor}")`
  const reason = error.reason === "disk" ? "disk" : "damaged"
  const detail = `section "${section}"${tensor}: ${error.detail}`
  return new CheckpointError({ path, section, reason, detail, remedy: error.remedy })
}

const shown = 5

const listed = (title: string, lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (lines.length === 0) return []
  const more = lines.length > shown ? ` and ${lines.length - shown} more` : ""
  return [`${lines.length} ${title} (${lines.slice(0, shown).join(", ")}${more})`]
}

/** An error that sums up mismatches: missing, unexpected and mis-shaped tensors, each with its shapes. */
export const shapeError = (path: string, section: string, mismatches: ReadonlyArray<Mismatch>): CheckpointError => {
  const shape = (sizes: ReadonlyArray<number>) => `[${sizes.join(", ")}]`
  const missing = mismatches.filter((m) => m.actual === undefined)
  const extra = mismatches.filter((m) => m.expected === undefined)
  const other = mismatches.filter((m) => m.actual !== undefined && m.expected !== undefined)
  const parts = [
    ...listed("of another shape", other.map((m) => `${m.tensor} is ${shape(m.actual!)} instead of ${shape(m.expected!)}`)),
    ...listed("missing", missing.map((m) => `${m.tensor} ${shape(m.expected!)}`)),
    ...listed("not expected", extra.map((m) => `${m.tensor} ${shape(m.actual!)}`))
  ]
  return new CheckpointError({
    path,
    section,
    reason: "shape",
    detail: `the tensors of section "${section}" do not fit the model: ${parts.join("; ")}`,
    remedy: "use the configuration that the checkpoint was written with, or another checkpoint",
    mismatches
  })
}

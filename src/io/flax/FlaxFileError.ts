/**
 * The one error of reading Flax checkpoints.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { DiskError } from "../Disk.ts"
import { placeOf, sentence } from "../sentence.ts"

const Reason = Schema.Literals(["badMessage", "badArray", "badCheckpoint", "limit", "unsupported", "disk"])

/** What is wrong with a Flax msgpack file, at which byte or array, and what to do. */
export class FlaxFileError extends Schema.TaggedError<FlaxFileError>()("FlaxFileError", {
  file: Schema.String,
  reason: Reason,
  detail: Schema.String,
  remedy: Schema.String,
  /** Byte of the file at which the offending value begins. */
  position: Schema.optionalKey(Schema.Int),
  tensor: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const place = placeOf(this.file, [
      this.position === undefined ? undefined : `byte ${this.position}`,
      this.tensor === undefined ? undefined : `tensor "${this.tensor}"`
    ])
    return sentence(place, this.detail, this.remedy)
  }
}

const remedies: Record<FlaxFileError["reason"], string> = {
  badMessage: "fetch or write the file again",
  badArray: "fetch or write the file again",
  badCheckpoint: "give a file of flax.serialization.to_bytes that holds params",
  limit: "no checkpoint needs that; fetch or write the file again",
  unsupported: "save the arrays as float32, float16, bfloat16 or float64",
  disk: "check the disk"
}

/** Where an error is, as far as it is known. */
export type Place = Partial<Pick<FlaxFileError, "position" | "tensor">>

/** Makes errors about one file. */
export const failing = (file: string) => (reason: FlaxFileError["reason"], detail: string, place: Place = {}): FlaxFileError =>
  new FlaxFileError({ file, reason, detail, remedy: remedies[reason], ...place })

export type Fail = ReturnType<typeof failing>

/** Turns a disk failure on `file` into a {@link FlaxFileError}. */
export const fromDiskError = (file: string) => (error: DiskError): FlaxFileError =>
  new FlaxFileError({ file, reason: "disk", detail: `could not ${error.operation} ${error.path} (${error.code})`, remedy: error.remedy })

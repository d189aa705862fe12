/**
 * The one error of reading and writing safetensors files.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { DiskError } from "./Disk.ts"
import { placeOf, sentence } from "./sentence.ts"

const Reason = Schema.Literals([
  "tooShort",
  "headerTooLong",
  "badHeader",
  "badOffsets",
  "badShape",
  "badValue",
  "missingTensor",
  "unsupportedType",
  "disk"
])

/** What is wrong with a safetensors file, in which tensor (where one is meant), and what to do. */
export class SafetensorsError extends Schema.TaggedError<SafetensorsError>()("SafetensorsError", {
  file: Schema.String,
  reason: Reason,
  detail: Schema.String,
  remedy: Schema.String,
  tensor: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const place = placeOf(this.file, [this.tensor === undefined ? undefined : `tensor "${this.tensor}"`])
    return sentence(place, this.detail, this.remedy)
  }
}

/** Turns a disk failure on `file` into a {@link SafetensorsError}. */
export const fromDiskError = (file: string) => (error: DiskError): SafetensorsError =>
  new SafetensorsError({
    file,
    reason: "disk",
    detail: `could not ${error.operation} ${error.path} (${error.code})`,
    remedy: error.remedy
  })

/**
 * The one error of reading PyTorch checkpoints.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { DiskError } from "../Disk.ts"
import { placeOf, sentence } from "../sentence.ts"

const Reason = Schema.Literals(["badArchive", "badPickle", "refused", "badTensor", "badCheckpoint", "limit", "unsupported", "disk"])

/** What is wrong with a PyTorch file, at which record and opcode, and what to do; `refused`: it asks for more than data. */
export class TorchFileError extends Schema.TaggedError<TorchFileError>()("TorchFileError", {
  file: Schema.String,
  reason: Reason,
  detail: Schema.String,
  remedy: Schema.String,
  /** Record of the zip archive, such as `data.pkl`. */
  record: Schema.optionalKey(Schema.String),
  /** Byte of the pickle at which the offending opcode stands. */
  position: Schema.optionalKey(Schema.Int),
  /** What the pickle wanted to import, as `module.name`. */
  global: Schema.optionalKey(Schema.String),
  tensor: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const place = placeOf(this.file, [
      this.record,
      this.position === undefined ? undefined : `opcode at byte ${this.position}`,
      this.tensor === undefined ? undefined : `tensor "${this.tensor}"`
    ])
    return sentence(place, this.detail, this.remedy)
  }
}

/** Where an error is, as far as it is known. */
export type Place = Partial<Pick<TorchFileError, "record" | "position" | "global" | "tensor">>

/** What to do about a file that only its writer can mend. */
const remedies: Record<TorchFileError["reason"], string> = {
  badArchive: "fetch or write the file again",
  badPickle: "fetch or write the file again",
  badTensor: "fetch or write the file again",
  badCheckpoint: "give a checkpoint that the reference's save_checkpoint wrote, or a state_dict of its model",
  refused: "nothing of it was executed; do not load this file with other programs either unless you trust its author",
  limit: "no checkpoint needs that; fetch or write the file again",
  unsupported: "load it with PyTorch and save it again with torch.save",
  disk: "check the disk"
}

/** Makes errors about one file. */
export const failing = (file: string, place: Place = {}) => (
  reason: TorchFileError["reason"],
  detail: string,
  more: Place = {}
): TorchFileError => new TorchFileError({ file, reason, detail, remedy: remedies[reason], ...place, ...more })

export type Fail = ReturnType<typeof failing>

/** Turns a disk failure on `file` into a {@link TorchFileError}. */
export const fromDiskError = (file: string) => (error: DiskError): TorchFileError =>
  new TorchFileError({ file, reason: "disk", detail: `could not ${error.operation} ${error.path} (${error.code})`, remedy: error.remedy })

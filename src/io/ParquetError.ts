/**
 * The one error of reading and writing parquet.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { DiskError } from "./Disk.ts"
import { placeOf, sentence } from "./sentence.ts"
import type { SourceError } from "./source/SourceError.ts"

const Reason = Schema.Literals([
  "noFiles",
  "emptyFile",
  "notParquet",
  "truncated",
  "corrupt",
  "checksum",
  "unsupported",
  "missingColumn",
  "wrongType",
  "nullValue",
  "badStart",
  "badRow",
  "disk",
  "changed",
  "remote"
])

/**
 * What went wrong with a parquet file, where exactly, and what to do.
 *
 * `row` counts from 0 within the file; `rowGroup` from 0; both are absent where the whole file is meant.
 */
export class ParquetError extends Schema.TaggedError<ParquetError>()("ParquetError", {
  file: Schema.String,
  reason: Reason,
  detail: Schema.String,
  remedy: Schema.String,
  rowGroup: Schema.optionalKey(Schema.Int),
  row: Schema.optionalKey(Schema.Int),
  column: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const place = placeOf(this.file, [
      this.rowGroup === undefined ? undefined : `row group ${this.rowGroup}`,
      this.row === undefined ? undefined : `row ${this.row}`,
      this.column === undefined ? undefined : `column "${this.column}"`
    ])
    return sentence(place, this.detail, this.remedy)
  }
}

/** Turns a disk failure on `file` into a {@link ParquetError}. */
export const fromDiskError = (file: string) => (error: DiskError): ParquetError =>
  new ParquetError({
    file,
    reason: "disk",
    detail: `could not ${error.operation} ${error.path} (${error.code})`,
    remedy: error.remedy
  })

const reasons: Readonly<Record<SourceError["reason"], ParquetError["reason"]>> = {
  missing: "noFiles",
  denied: "remote",
  noRanges: "remote",
  network: "remote",
  changed: "changed",
  cutOff: "truncated",
  disk: "disk",
  unsupported: "unsupported"
}

/** Where in a file something is wrong. */
export interface Place {
  readonly rowGroup?: number
  readonly row?: number
  readonly column?: string
}

/** Turns a failure to get at the bytes of `file` into a {@link ParquetError}. */
export const fromSourceError = (file: string, place: Place = {}) => ({ detail, reason, remedy }: SourceError): ParquetError =>
  new ParquetError({ file, reason: reasons[reason], detail, remedy, ...place })

/**
 * The one error of fetching files from a model hub.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { DiskError } from "../Disk.ts"

const Reason = Schema.Literals([
  /** A repository, revision or path that no hub can have. */
  "badName",
  /** Not in the cache, and the network may not be used. */
  "offline",
  /** The hub could not be reached, or did not finish its answer. */
  "network",
  /** The hub wants to know who asks, or refuses who does. */
  "denied",
  /** No such repository, revision or file. */
  "notFound",
  /** The answer is none of a hub. */
  "badAnswer",
  /** What arrived is not what was announced. */
  "corrupt",
  "disk"
])

/** What kept a file of a hub from being had: of which repository, which file, why, and what to do. */
export class HubError extends Schema.TaggedError<HubError>()("HubError", {
  repository: Schema.String,
  revision: Schema.String,
  reason: Reason,
  detail: Schema.String,
  remedy: Schema.String,
  file: Schema.optionalKey(Schema.String),
  /** HTTP status, where there was an answer. */
  status: Schema.optionalKey(Schema.Number)
}) {
  override get message(): string {
    const what = this.file === undefined ? this.repository : `${this.file} of ${this.repository}`
    return `Cannot fetch ${what} (revision ${this.revision}): ${this.detail}. ${this.remedy}.`
  }
}

/** A repository at a revision (branch, tag or commit), and a file of it, by its path with forward slashes. */
export interface HubFile {
  readonly repository: string
  readonly revision: string
  readonly file: string
}

/** An error about `file`. */
export const failing = (file: HubFile, reason: HubError["reason"], detail: string, remedy: string, status?: number): HubError =>
  new HubError({ ...file, reason, detail, remedy, ...(status === undefined ? {} : { status }) })

/** Turns a disk failure into an error about `file`. */
export const fromDiskError = (file: HubFile) => (error: DiskError): HubError =>
  failing(file, "disk", `could not ${error.operation} ${error.path} (${error.code})`, `${error.remedy.slice(0, 1).toUpperCase()}${error.remedy.slice(1)}`)

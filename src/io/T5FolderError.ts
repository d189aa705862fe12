/**
 * The error of reading an encoder's folder.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/** A folder is no T5 encoder: a file is missing or unreadable, or the weights do not fit the configuration. */
export class T5FolderError extends Schema.TaggedError<T5FolderError>()("T5FolderError", {
  folder: Schema.String,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.folder} is not a usable T5 encoder: ${this.detail}. ${this.remedy}.`
  }
}

/** An error about a folder. */
export const failing = (folder: string, detail: string, remedy: string): T5FolderError => new T5FolderError({ folder, detail, remedy })

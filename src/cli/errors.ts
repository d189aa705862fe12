/**
 * What the command line itself refuses.
 */
import { Schema } from "effect"

/** A number on the command line is out of its range. */
export class OptionError extends Schema.TaggedError<OptionError>()("OptionError", { option: Schema.String, expected: Schema.String, received: Schema.String }) {
  override get message(): string {
    return `--${this.option} must be ${this.expected}, not ${this.received}.`
  }
}

/** A new run would mix its checkpoints with those of an earlier one. */
export class RunFolderError extends Schema.TaggedError<RunFolderError>()("RunFolderError", { folder: Schema.String, latest: Schema.String, key: Schema.String }) {
  override get message(): string {
    return `${this.folder} already holds checkpoints (the latest is ${this.latest}). Go on from it with --resume, or give the run another ${this.key}.`
  }
}

/** A process that this one started ended otherwise than it should. */
export class WorkerError extends Schema.TaggedError<WorkerError>()("WorkerError", { rank: Schema.Number, pid: Schema.Number, how: Schema.String }) {
  override get message(): string {
    return `Rank ${this.rank} (process ${this.pid}) ${this.how}. Start the run again; with --resume it goes on from the last checkpoint.`
  }
}

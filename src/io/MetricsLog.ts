/**
 * The metrics of a run: a file of JSON objects, one a line, that survives a kill and goes on after a resume.
 *
 * @since 0.1.0
 */
import { Effect, Schema, type Scope } from "effect"
import * as fs from "node:fs/promises"
import { dirname } from "node:path"
import { attempt, type DiskError } from "./Disk.ts"
import { sentence } from "./sentence.ts"

/** The metrics of one optimiser step; a value that is no finite number is written as null. */
export interface StepMetrics {
  /** Optimiser step, from 1; never falls from line to line. */
  readonly step: number
  readonly loss?: number
  /** Mean squared error of the denoiser rows. */
  readonly denoiserLoss?: number
  /** Cross-entropy of the decoder rows, in nats. */
  readonly decoderLoss?: number
  readonly heldOutLoss?: number
  readonly learningRate?: number
  readonly gradientNorm?: number
  readonly tokensPerSecond?: number
  /** Milliseconds since 1970. */
  readonly time?: number
  readonly [name: string]: number | string | boolean | null | undefined
}

/** The metrics file cannot be read, written or gone on with. */
export class MetricsLogError extends Schema.TaggedError<MetricsLogError>()("MetricsLogError", {
  file: Schema.String,
  detail: Schema.String,
  remedy: Schema.String,
  line: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    return sentence(this.line === undefined ? this.file : `${this.file} (line ${this.line})`, this.detail, this.remedy)
  }
}

export interface OpenOptions {
  /** Go on after this step: later lines are cut off. Absent: a new run, the file begins empty. */
  readonly resumeAfter?: number
  /** Lines between two syncs to the disk; {@link MetricsLog.sync} does it at once. Default 100. */
  readonly syncEvery?: number
}

/** An open log; closed and synced with its scope. */
export interface MetricsLog {
  readonly append: (metrics: StepMetrics) => Effect.Effect<void, MetricsLogError>
  /** Resolves when every line is on the disk: call it before writing a checkpoint. */
  readonly sync: Effect.Effect<void, MetricsLogError>
}

const explain = (file: string) => (error: DiskError) =>
  new MetricsLogError({ file, detail: `could not ${error.operation} ${error.path} (${error.code})`, remedy: error.remedy })

const disk = <A>(operation: string, file: string, run: () => Promise<A>) =>
  Effect.mapError(attempt(operation, file, run), explain(file))

const parseLine = (line: string): StepMetrics | undefined => {
  try {
    const value = JSON.parse(line) as StepMetrics | null
    return Number.isSafeInteger(value?.step) ? value ?? undefined : undefined
  } catch {
    return undefined
  }
}

interface Kept {
  /** Bytes of the file to keep: whole lines up to the step. */
  readonly bytes: number
  readonly lines: ReadonlyArray<StepMetrics>
}

/** The whole lines of a log, up to `last`; a torn last line is left out, a broken line elsewhere is an error. */
const wholeLines = (file: string, text: string, last: number): Effect.Effect<Kept, MetricsLogError> =>
  Effect.gen(function*() {
    const lines: Array<StepMetrics> = []
    let bytes = 0
    const parts = text.split("\n")
    for (const [index, line] of parts.entries()) {
      const complete = index < parts.length - 1
      const metrics = parseLine(line)
      if (!complete) break
      if (metrics === undefined) {
        // A kill or a power cut can leave rubbish only where writing went on: at the very end.
        if (parts.slice(index + 1).every((rest) => rest === "")) break
        const remedy = "remove the line, or start over"
        return yield* new MetricsLogError({ file, line: index + 1, detail: "the line is no metrics", remedy })
      }
      if (metrics.step > last) break
      lines.push(metrics)
      bytes += Buffer.byteLength(line) + 1
    }
    return { bytes, lines }
  })

const textOf = (file: string) =>
  disk("read", file, () =>
    fs.readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return ""
      throw error
    }))

/** The metrics in a file, in order; a torn last line is left out. */
export const read = (file: string): Effect.Effect<ReadonlyArray<StepMetrics>, MetricsLogError> =>
  Effect.map(Effect.flatMap(textOf(file), (text) => wholeLines(file, text, Infinity)), ({ lines }) => lines)

const logOf = (file: string, handle: fs.FileHandle, syncEvery: number, lastStep: number): MetricsLog => {
  let unsynced = 0
  let last = lastStep
  const sync = Effect.suspend(() => {
    unsynced = 0
    return disk("sync", file, () => handle.sync())
  })
  const append = (metrics: StepMetrics) =>
    Effect.suspend(() => {
      if (!Number.isSafeInteger(metrics.step) || metrics.step < last) {
        return Effect.fail(
          new MetricsLogError({ file, detail: `step ${metrics.step} comes after step ${last}`, remedy: "log steps in order" })
        )
      }
      last = metrics.step
      unsynced++
      const written = disk("write to", file, () => handle.appendFile(`${JSON.stringify(metrics)}\n`))
      return unsynced >= syncEvery ? Effect.andThen(written, sync) : written
    })
  return { append, sync }
}

/**
 * Opens the log of a run: empty for a new run, cut off behind `resumeAfter` for one that goes on.
 *
 * **Details** A line torn by a kill is removed. Lines reach the disk at the latest after `syncEvery` more, at `sync`, and
 * when the scope closes.
 */
export const open = (
  file: string,
  options: OpenOptions = {}
): Effect.Effect<MetricsLog, MetricsLogError, Scope.Scope> =>
  Effect.gen(function*() {
    const { resumeAfter, syncEvery = 100 } = options
    yield* Effect.mapError(attempt("make the folder", dirname(file), (_) => _.makeFolder(dirname(file))), explain(file))
    const kept = resumeAfter === undefined ? { bytes: 0, lines: [] } :
      yield* Effect.flatMap(textOf(file), (text) => wholeLines(file, text, resumeAfter))
    const handle = yield* Effect.acquireRelease(
      disk("open", file, () => fs.open(file, "a+")),
      (handle) => Effect.ignore(disk("close", file, () => handle.sync().finally(() => handle.close())))
    )
    yield* disk("cut", file, () => handle.truncate(kept.bytes))
    return logOf(file, handle, syncEvery, kept.lines.at(-1)?.step ?? 0)
  })

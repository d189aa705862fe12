/**
 * The metrics of a run as TensorBoard's event files.
 *
 * Each process writes a file of its own, whose first events say at which step it goes on: TensorBoard then drops what an
 * earlier file has from there on, so that a killed and resumed run shows one curve.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import * as fs from "node:fs/promises"
import { hostname } from "node:os"
import { join } from "node:path"
import { attempt, type DiskError } from "./Disk.ts"
import type { StepMetrics } from "./MetricsLog.ts"
import { encodeEvent, record, type TensorBoardEvent } from "./tensorboardEvent.ts"

/** An open event file; closed and synced with its scope. */
export interface TensorBoardLog {
  /** Every number of the metrics becomes a scalar of its name at their step; what is no finite number is left out. */
  readonly append: (metrics: StepMetrics) => Effect.Effect<void, DiskError>
}

const scalarsOf = ({ step: _, time: __, ...metrics }: StepMetrics): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).filter((entry): entry is [string, number] => Number.isFinite(entry[1])))

// Readers take the files of a folder in the order of their names.
const nameOf = (milliseconds: number): string =>
  `events.out.tfevents.${String(Math.floor(milliseconds / 1000)).padStart(10, "0")}.${hostname()}.${process.pid}.${String(milliseconds % 1000).padStart(3, "0")}.elf`

/** Opens a new event file in `folder` for a run that begins, or goes on, behind `step`. */
export const open = (folder: string, step: number): Effect.Effect<TensorBoardLog, DiskError, Scope.Scope> =>
  Effect.gen(function*() {
    const path = join(folder, nameOf(Date.now()))
    yield* attempt("make the folder", folder, (disk) => disk.makeFolder(folder))
    const file = yield* Effect.acquireRelease(
      attempt("create", path, () => fs.open(path, "ax")),
      (file) => Effect.ignore(attempt("close", path, () => file.sync().finally(() => file.close())))
    )
    const write = (event: Omit<TensorBoardEvent, "time">) =>
      attempt("write to", path, () => file.appendFile(record(encodeEvent({ time: Date.now() / 1000, ...event }))))
    yield* write({ step: 0, fileVersion: "brain.Event:2" })
    yield* write({ step: step + 1, starts: true })
    return { append: (metrics) => write({ step: metrics.step, scalars: scalarsOf(metrics) }) }
  })

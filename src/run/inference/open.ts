/**
 * An inference, ready to run: its plan is in the output folder, its model is known, its units are listed.
 *
 * @since 0.1.0
 */
import { Effect, type Layer, Option, type Scope } from "effect"
import { join } from "node:path"
import { attempt, type DiskError } from "../../io/Disk.ts"
import { type Checkpoint, type Parquet, PartManifest, type RunConfig } from "../../io/index.ts"
import type { Backend } from "../../model/Backend.ts"
import type { EmbedError } from "../../model/Encoder.ts"
import type { TokenizeError } from "../../model/Tokenizer.ts"
import type { LoadEncoderError } from "../encoder.ts"
import * as Pretrained from "../Pretrained.ts"
import { checkedChoice } from "../sampling.ts"
import type { Tell, UnitReport } from "./events.ts"
import { configurationHash, configurationOf } from "./identity.ts"
import { InferenceError } from "./InferenceError.ts"
import { requireInput } from "./inputRows.ts"
import { findInputs, type Inputs } from "./inputs.ts"
import { mostRows, type Plan, type Unit, unitsOfPlan } from "./plan.ts"
import { bookFolder, readPlan, requireSame, writePlan } from "./planFile.ts"
import { quarantineName, writeQuarantine } from "./quarantine.ts"
import type { InferenceRequest, Shard } from "./request.ts"
import { sweep } from "./sweep.ts"
import { type TaskServices, type Work, workOf } from "./tasks.ts"
import { carriedColumns, runUnit, type UnitContext, usedColumns } from "./unit.ts"

/** What keeps an inference from being opened. */
export type OpenInferenceError = InferenceError | Parquet.ParquetError | DiskError | Checkpoint.CheckpointError | RunConfig.RunConfigError

/** What ends a unit. */
export type UnitError = InferenceError | Parquet.ParquetError | EmbedError | TokenizeError

/** An inference that was opened. */
export interface Inference {
  readonly request: InferenceRequest
  readonly plan: Plan
  /** Where the input files are, by name: paths on this machine, or URLs. */
  readonly addresses: ReadonlyMap<string, string>
  /** All units of all shards, in the plan's order. */
  readonly units: ReadonlyArray<Unit>
  /** Network, encoder and vocabulary: provide it to whatever runs units. */
  readonly layer: Layer.Layer<Exclude<TaskServices, Backend>, LoadEncoderError | TokenizeError, Backend>
  /** The input columns that a unit's part is made from; the file stays open with the scope. */
  readonly usedColumns: (unit: Unit) => Effect.Effect<Parquet.Carried, InferenceError | Parquet.ParquetError, Scope.Scope>
  /** The units that are done, by part, as the manifest says now. A unit that was passed over is not done. */
  readonly done: Effect.Effect<ReadonlyMap<string, UnitReport>, DiskError>
  /**
   * Opens a writer of its own for one process (a shard, a runner of a cluster), which does units one after the other.
   * `name` is the writer's: letters, digits, `-` and `.`; no two processes may share one at a time.
   */
  readonly runner: (name: string, tell?: Tell) => Effect.Effect<(unit: Unit) => Effect.Effect<UnitReport, UnitError, TaskServices>, DiskError, Scope.Scope>
}

const badRequest = (where: string, detail: string, remedy: string) => new InferenceError({ reason: "request", where, detail, remedy })

const requestProblem = ({ batchSize = 1, draws = 1, input, rows, task }: InferenceRequest): InferenceError | undefined => {
  const isCount = (value: number | undefined) => Number.isSafeInteger(value) && value! >= 1
  if (task === "generate" && !isCount(rows)) return badRequest("rows", "how many texts to write is not said", "Give --rows, at least 1")
  if (task === "generate" && rows! > mostRows) return badRequest("rows", `${rows} texts are too many for one folder`, `Give at most ${mostRows}, and another --output and --seed for more`)
  if (task !== "generate" && input === undefined) return badRequest("input", "there is no input", "Give --input, a parquet file, folder or pattern")
  if (!isCount(batchSize)) return badRequest("batch-size", `${batchSize} is no number of rows`, "Give at least 1")
  return isCount(draws) ? undefined : badRequest("draws", `${draws} is no number of draws`, "Give at least 1")
}

/** A request with its column: of a checkpoint that was trained on pairs, the column of their conditions unless another is named. */
const withColumn = (request: InferenceRequest, run: RunConfig.RunConfig): Effect.Effect<InferenceRequest, InferenceError> => {
  const { column = run.data.conditionColumn, task } = request
  if (task === "generate") return Effect.succeed(request)
  return column === undefined || column.length === 0 ? Effect.fail(badRequest("column", "the column to read is not named", "Give --column")) : Effect.succeed({ ...request, column })
}

const noInputs: Inputs = { addresses: new Map(), files: [], unreadable: [] }

const clash = (path: string, name: string) =>
  new InferenceError({
    reason: "columns",
    where: path,
    detail: `it has a column "${name}", which is the name of an added one`,
    remedy: "Leave it out with --columns, or rename it"
  })

/** Refuses what would go wrong in the middle: a column that is missing, no text or ids, or the name of an added one. */
const checkColumns = (request: InferenceRequest, work: Work) =>
  Effect.fnUntraced(function*(file: Parquet.ParquetFile) {
    yield* requireInput(request, file)
    const taken = (yield* carriedColumns(request, file)).find((column) => Object.hasOwn(work.schema, column))
    if (taken !== undefined) return yield* clash(file.path, taken)
  })

/** Removes what an earlier inference left: its parts by their names, then its plan and manifest. */
const clear = Effect.fnUntraced(function*(output: string) {
  const before = yield* Effect.option(readPlan(output))
  const plan = Option.flatten(before)
  const units = Option.isNone(plan) ? [] : unitsOfPlan(plan.value)
  const left = [...units.map(({ part }) => part), ...[...units.map(({ part }) => part), ...(Option.isNone(plan) ? [] : plan.value.unreadable.map(({ name }) => name))].map(quarantineName)]
  for (const name of left) yield* attempt("remove", join(output, name), (disk) => disk.remove(join(output, name)))
  yield* attempt("remove", bookFolder(output), (disk) => disk.remove(bookFolder(output)))
})

const settle = Effect.fnUntraced(function*({ fresh = false, onError, output }: InferenceRequest, plan: Plan) {
  if (fresh) yield* clear(output)
  const before = yield* readPlan(output)
  if (Option.isSome(before)) yield* requireSame(output, before.value, plan)
  else yield* writePlan(output, plan)
  if (onError !== "quarantine") return
  for (const { name, problem } of plan.unreadable) yield* writeQuarantine(output, name, [{ input: name, error: problem }])
})

const isWriterName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$/.test(name)

/**
 * Opens an inference: finds the input, compares it and the configuration with what the output folder was begun with, and
 * lists the units. Nothing is on the device until `layer` is built. Opening it again, here or elsewhere, finds the same.
 */
export const open = (asked: InferenceRequest): Effect.Effect<Inference, OpenInferenceError> =>
  Effect.gen(function*() {
    const problem = requestProblem(asked)
    if (problem !== undefined) return yield* problem
    const { layer, run } = yield* Pretrained.open(asked.checkpoint)
    const request = yield* withColumn(asked, run)
    const choice = yield* Effect.mapError(checkedChoice(run, request.change ?? {}), ({ expected }) =>
      badRequest("churn", `it must be ${expected}`, "Choose another --solver, or leave --churn out"))
    if ((choice.length ?? 1) > run.model.length) return yield* badRequest("length", `the network has ${run.model.length} positions`, "Give fewer")
    const work = workOf({ request, run, choice })
    const inputs = request.input === undefined || request.task === "generate" ? noInputs : yield* findInputs(request.input, (request.onError ?? "fail") !== "fail", checkColumns(request, work))
    const configuration = yield* configurationOf(request, run, choice)
    const plan: Plan = { configuration, configurationHash: configurationHash(configuration), files: inputs.files, unreadable: inputs.unreadable }
    yield* settle(request, plan)
    const units = unitsOfPlan(plan)
    yield* sweep(request.output, units)
    const metadata = {
      "elf-streams.version": configuration.version,
      "elf-streams.task": request.task,
      "elf-streams.model": configuration.model,
      "elf-streams.configuration": plan.configurationHash
    }
    const context = { request, addresses: inputs.addresses, work, metadata }
    return {
      request,
      plan,
      layer,
      addresses: inputs.addresses,
      usedColumns: (unit) => usedColumns(context, unit),
      units,
      done: Effect.map(PartManifest.read(bookFolder(request.output)), (records) =>
        new Map([...records].filter(([, { problem }]) => problem === undefined))),
      runner: (name, tell = () => Effect.void) =>
        !isWriterName(name)
          ? Effect.die(new Error(`"${name}" is no name of a writer`))
          : Effect.map(PartManifest.open(bookFolder(request.output), name), (writer) => {
            const own: UnitContext = { ...context, writer, tell }
            return (unit: Unit) => runUnit(own, unit)
          })
    }
  })

/** The units of a shard. */
export const unitsOfShard = (units: ReadonlyArray<Unit>, { count, index }: Shard): ReadonlyArray<Unit> =>
  units.filter((_, i) => i % count === index)

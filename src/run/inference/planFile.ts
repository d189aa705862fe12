/**
 * The plan in the output folder: written by the first process, compared by every later one.
 *
 * @since 0.1.0
 */
import { Effect, Option, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { attempt, type DiskError } from "../../io/Disk.ts"
import { writeAtomically } from "../../io/atomicFile.ts"
import { parseJson } from "../../io/smallText.ts"
import { InferenceError } from "./InferenceError.ts"
import { mostRows, type Plan } from "./plan.ts"

/** Folder of the plan and the manifest; its name begins with `_`, which readers of folders pass over. */
export const bookFolder = (output: string): string => join(output, "_inference")

const planPath = (output: string): string => join(bookFolder(output), "plan.json")

const format = "elf-streams inference"

const RowCount = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 40 }))

/** The name of an input: `--fresh` removes the parts that are named after it, so it must not lead out of the folder. */
const InputName = Schema.String.check(Schema.makeFilter((name) =>
  !name.includes("\u0000") && !name.split(/[/\\]/).some((segment) => ["", ".", ".."].includes(segment)) || "a name below the output folder"))

/** What is read of a configuration; the rest is only compared. */
const Configuration = Schema.StructWithRest(
  Schema.Struct({
    task: Schema.String,
    model: Schema.String,
    rows: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: mostRows })))
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
).check(Schema.makeFilter(({ rows, task }) => task !== "generate" || rows !== undefined || "rows, as the task is generate"))

const PlanFile = Schema.Struct({
  format: Schema.Literal(format),
  version: Schema.Literal(1),
  configuration: Configuration,
  configurationHash: Schema.String,
  files: Schema.Array(Schema.Struct({ name: InputName, contentKey: Schema.String, rowGroups: Schema.Array(RowCount) })),
  unreadable: Schema.Array(Schema.Struct({ name: InputName, problem: Schema.String }))
})

/** The plan of an output folder; none where none was begun. */
export const readPlan = (output: string): Effect.Effect<Option.Option<Plan>, DiskError | InferenceError> =>
  Effect.gen(function*() {
    const path = planPath(output)
    if ((yield* attempt("look at", path, (disk) => disk.kind(path))) === "missing") return Option.none()
    const text = yield* attempt("read", path, () => readFile(path, "utf8"))
    const plan = yield* Effect.try({ try: () => parseJson(text), catch: String }).pipe(
      Effect.flatMap(Schema.decodeUnknownEffect(PlanFile)),
      Effect.mapError((cause) =>
        new InferenceError({ reason: "output", where: path, detail: `this is no plan (${String(cause).replaceAll(/\s+/g, " ")})`, remedy: "Use --fresh to start over" }))
    )
    return Option.some(plan)
  })

/** Writes a plan; several processes may do so at once, they all write the same. */
export const writePlan = (output: string, plan: Plan): Effect.Effect<void, DiskError> =>
  writeAtomically(planPath(output), (error) => error, (file) =>
    file.append(new TextEncoder().encode(`${JSON.stringify({ format, version: 1, ...plan }, undefined, 1)}\n`)))

const show = (value: unknown): string => (value === undefined ? "nothing" : JSON.stringify(value)).slice(0, 60)

const isGroup = (value: unknown): value is Plan["configuration"] => typeof value === "object" && value !== null && !Array.isArray(value)

const changedSettings = (before: Plan["configuration"], now: Plan["configuration"], place = ""): ReadonlyArray<string> =>
  [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((name) => {
    const [old, current] = [before[name], now[name]]
    if (JSON.stringify(old) === JSON.stringify(current)) return []
    if (isGroup(old) && isGroup(current)) return changedSettings(old, current, `${place}${name}.`)
    return [`${place}${name} was ${show(old)}, is ${show(current)}`]
  })

const changedFiles = (before: Plan["files"], now: Plan["files"]): ReadonlyArray<string> => {
  const [old, current] = [before, now].map((files) => new Map(files.map(({ contentKey, name }) => [name, contentKey])))
  return [
    ...[...current!.keys()].filter((name) => !old!.has(name)).map((name) => `the input file ${name} is new`),
    ...[...old!].flatMap(([name, key]) =>
      !current!.has(name) ? [`the input file ${name} is gone`] : current!.get(name) === key ? [] : [`the input file ${name} has changed`])
  ]
}

/** Every way in which two plans differ, in words. */
const differences = (before: Plan, now: Plan): ReadonlyArray<string> => [
  ...changedSettings(before.configuration, now.configuration),
  ...changedFiles(before.files, now.files)
]

/** Succeeds where `now` goes on with what was begun. */
export const requireSame = (output: string, before: Plan, now: Plan): Effect.Effect<void, InferenceError> => {
  const found = differences(before, now)
  return found.length === 0 ? Effect.void : Effect.fail(new InferenceError({
    reason: "changed",
    where: output,
    detail: `it was begun otherwise (${found.slice(0, 5).join("; ")}${found.length > 5 ? `; ${found.length - 5} more` : ""})`,
    remedy: "Undo the change, choose another --output folder, or start over with --fresh"
  }))
}

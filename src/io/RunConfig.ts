/**
 * Run files: one JSON or YAML file says what to train, on what, and how.
 *
 * A file is checked by one schema: defaults are filled in, ranges checked, unknown keys refused with the nearest known
 * name, and all problems are reported at once.
 *
 * @since 0.1.0
 */
import { Effect, Schema, type SchemaAST } from "effect"
import { readFile } from "node:fs/promises"
import { dirname, extname, resolve } from "node:path"
import { parseDocument } from "yaml"
import { presets } from "../model/ModelConfig.ts"
import { attempt } from "./Disk.ts"
import { duplicateKey } from "./duplicateKeys.ts"
import { problemsOf } from "./runConfigProblems.ts"
import { type RunConfig, RunConfigSchema } from "./runConfigSchema.ts"

export { type RunConfig, RunConfigSchema } from "./runConfigSchema.ts"

/** A run file that cannot be used: every problem in a sentence of its own. */
export class RunConfigError extends Schema.TaggedError<RunConfigError>()("RunConfigError", {
  file: Schema.String,
  problems: Schema.NonEmptyArray(Schema.String)
}) {
  override get message(): string {
    const { file, problems } = this
    if (problems.length === 1) return `${file}: ${problems[0]}${problems[0].endsWith("?") ? "" : "."}`
    return [`${file} has ${problems.length} problems:`, ...problems.map((problem) => `  - ${problem}`)].join("\n")
  }
}

/** One key of a run file, for documentation. */
export interface KeyDescription {
  /** Dotted place, such as `optimizer.learningRate`. */
  readonly place: string
  readonly description: string
  /** What it holds: `number`, `text`, `"muon" | "adamw"`, `section`, … */
  readonly type: string
  /** The default as JSON; undefined where the key is optional or must be given. */
  readonly default: string | undefined
  readonly required: boolean
}

const typeOf = (ast: SchemaAST.AST): string => {
  switch (ast._tag) {
    case "String":
      return "text"
    case "Number":
      return "number"
    case "Literal":
      return JSON.stringify(ast.literal)
    case "Union":
      return [...new Set(ast.types.map(typeOf))].join(" | ")
    case "Arrays":
      return "list of text"
    default:
      return "section"
  }
}

const describeFields = (ast: SchemaAST.AST, prefix: string): ReadonlyArray<KeyDescription> => {
  if (ast._tag === "Union") return ast.types.flatMap((type) => describeFields(type, prefix))
  if (ast._tag !== "Objects") return []
  return ast.propertySignatures.flatMap(({ name, type }) => {
    const place = `${prefix}${String(name)}`
    const annotations = type.annotations ?? type.checks?.at(-1)?.annotations
    const isOptional = type.context?.isOptional === true || type.encoding !== undefined
    const own = {
      place,
      description: String(annotations?.["description"] ?? ""),
      type: typeOf(type),
      default: annotations?.["default"] === undefined ? undefined : JSON.stringify(annotations["default"]),
      required: !isOptional
    }
    return [own, ...describeFields(type, `${place}.`)]
  })
}

/** Every key of a run file with its place, meaning, type and default. */
export const describe = (): ReadonlyArray<KeyDescription> => describeFields(RunConfigSchema.ast, "")

const places = describe().map(({ place }) => place)

const isSection = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Fills in the sizes of `model.preset`; sizes given beside it win. */
const withPreset = (input: unknown): unknown => {
  if (!isSection(input) || !isSection(input["model"])) return input
  const preset = input["model"]["preset"]
  if (preset === undefined) return input
  // An unknown preset is one problem, not four: the sizes it lacks are not reported on top.
  const known = typeof preset === "string" && Object.hasOwn(presets, preset) ? preset as keyof typeof presets : "ELF-B"
  const { depth, heads, hidden } = presets[known]
  return { ...input, model: { hidden, depth, heads, ...input["model"] } }
}

/** Names the encoder of a run that names none, as the reference does, so that a checkpoint says which one it was. */
const withEncoder = (input: unknown): unknown => {
  if (!isSection(input)) return input
  const encoder = input["encoder"] === undefined ? {} : input["encoder"]
  return isSection(encoder) && encoder["path"] === undefined && encoder["name"] === undefined
    ? { ...input, encoder: { ...encoder, name: "t5-small" } }
    : input
}

type Check = readonly [holds: boolean, problem: string]

const modelChecks = ({ hidden, heads }: RunConfig["model"]): ReadonlyArray<Check> => {
  if (hidden % heads !== 0) return [[false, `model.heads: ${heads} heads do not divide model.hidden, ${hidden}`]]
  const problem = `model.heads: a head of ${hidden / heads} is odd; model.hidden / model.heads must be even`
  return [[(hidden / heads) % 2 === 0, problem]]
}

const encoderChecks = ({ name, path, revision }: RunConfig["encoder"]): ReadonlyArray<Check> => [
  [path === undefined || name === undefined, "encoder: give \"path\" or \"name\", not both"],
  [path === undefined || revision === undefined, "encoder.revision: a folder has no revisions; it goes with encoder.name"]
]

const conditionChecks = ({ model, data }: RunConfig): ReadonlyArray<Check> => {
  const { probability, minimum, maximum } = data.condition
  const used = probability > 0 || data.conditionColumn !== undefined
  return [
    [minimum <= maximum, `data.condition.minimum: ${minimum} is more than data.condition.maximum, ${maximum}`],
    [
      !used || maximum < model.length,
      `data.condition.maximum: ${maximum} leaves nothing to write of model.length, ${model.length}`
    ]
  ]
}

const scheduleChecks = ({ flow, optimizer }: RunConfig): ReadonlyArray<Check> => {
  const { minimum, maximum } = flow.selfConditionScale
  const { warmupSteps, steps, minimumLearningRate: least, learningRate } = optimizer
  return [
    [minimum <= maximum, `flow.selfConditionScale.minimum: ${minimum} is more than its maximum, ${maximum}`],
    [warmupSteps <= steps, `optimizer.warmupSteps: ${warmupSteps} is more than optimizer.steps, ${steps}`],
    [least <= learningRate, `optimizer.minimumLearningRate: ${least} is more than optimizer.learningRate, ${learningRate}`]
  ]
}

/** What the keys must fulfil together. */
const crossProblems = (config: RunConfig): ReadonlyArray<string> =>
  [...modelChecks(config.model), ...encoderChecks(config.encoder), ...conditionChecks(config), ...scheduleChecks(config)]
    .filter(([holds]) => !holds)
    .map(([, problem]) => problem)

const failing = (file: string, problems: ReadonlyArray<string>) =>
  new RunConfigError({ file, problems: problems as [string, ...Array<string>] })

const decodeSchema = Schema.decodeUnknownEffect(RunConfigSchema, { onExcessProperty: "error", errors: "all" })

/** Checks a configuration and fills in its defaults; `file` is for error messages. Paths are left as they are. */
export const decode = (input: unknown, file = "the configuration"): Effect.Effect<RunConfig, RunConfigError> => {
  const filled = withEncoder(withPreset(input))
  return decodeSchema(filled).pipe(
    Effect.mapError((error) => failing(file, problemsOf(error.issue, filled, places))),
    Effect.filterOrElse(
      (config) => crossProblems(config).length === 0,
      (config) => Effect.fail(failing(file, crossProblems(config)))
    )
  )
}

const parseJson = (file: string, text: string) =>
  Effect.try({
    try: () => {
      const value = JSON.parse(text) as unknown
      const twice = duplicateKey(text)
      if (twice !== undefined) throw new Error(`the key "${twice}" is given twice`)
      return value
    },
    catch: (cause) => failing(file, [`this is no JSON (${cause instanceof Error ? cause.message : String(cause)})`])
  })

const parseYaml = (file: string, text: string) =>
  Effect.gen(function*() {
    const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true })
    const found = [...document.errors, ...document.warnings].map((error) => error.message.split("\n")[0]!.replace(/:$/, ""))
    if (found.length > 0) return yield* failing(file, found.map((problem) => `this is no YAML (${problem})`))
    return yield* Effect.try({
      // Few aliases: a run file needs none, and many would be an attempt to fill the memory.
      try: () => document.toJS({ maxAliasCount: 20 }) as unknown,
      catch: (cause) => failing(file, [`this is no YAML (${cause instanceof Error ? cause.message : String(cause)})`])
    })
  })

const parsers: Readonly<Record<string, typeof parseJson>> = { ".json": parseJson, ".yaml": parseYaml, ".yml": parseYaml }

/** Changes every path of a configuration, and nothing else. */
export const mapPaths = (config: RunConfig, change: (path: string) => string): RunConfig => {
  const all = (pattern: RunConfig["data"]["train"]): RunConfig["data"]["train"] =>
    typeof pattern === "string" ? change(pattern) : [change(pattern[0]), ...pattern.slice(1).map(change)]
  const { encoder, data, checkpoint, log } = config
  return {
    ...config,
    encoder: encoder.path === undefined ? encoder : { ...encoder, path: change(encoder.path) },
    data: { ...data, train: all(data.train), ...(data.heldOut === undefined ? {} : { heldOut: all(data.heldOut) }) },
    checkpoint: { ...checkpoint, directory: change(checkpoint.directory) },
    log: log.file === undefined ? log : { ...log, file: change(log.file) }
  }
}

/** Makes the paths of a configuration absolute: relative ones start at the run file's folder. */
export const resolvePaths = (config: RunConfig, folder: string): RunConfig => mapPaths(config, (path) => resolve(folder, path))

const largestFile = 1024 * 1024

const readText = (file: string) =>
  Effect.gen(function*() {
    const text = yield* Effect.mapError(
      attempt("read", file, () => readFile(file, "utf8")),
      (error) => failing(file, [`the file cannot be read (${error.code}): ${error.remedy}`])
    )
    if (text.length <= largestFile) return text
    return yield* failing(file, [`the file has ${text.length} characters, which is no run file`])
  })

/** Reads, parses (by extension: .json, .yaml, .yml) and checks a run file; its relative paths become absolute. */
export const load = (file: string): Effect.Effect<RunConfig, RunConfigError> =>
  Effect.gen(function*() {
    const parse = parsers[extname(file).toLowerCase()]
    if (parse === undefined) return yield* failing(file, ["a run file ends in .json, .yaml or .yml"])
    const input = yield* parse(file, yield* readText(file))
    return resolvePaths(yield* decode(input, file), dirname(resolve(file)))
  })

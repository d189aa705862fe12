/**
 * Run files: one JSON or YAML file says what to train, on what, and how.
 *
 * A file is checked by one schema: defaults are filled in, ranges checked, unknown keys refused with the nearest known
 * name, and all problems are reported at once.
 *
 * @since 0.1.0
 */
import { Effect, Schema, type SchemaAST } from "effect"
import { dirname, resolve } from "node:path"
import { presets } from "../model/ModelConfig.ts"
import { failing, type RunConfigError } from "./RunConfigError.ts"
import { problemsOf } from "./runConfigProblems.ts"
import { type RunConfig, RunConfigSchema } from "./runConfigSchema.ts"
import { readRunFile } from "./runConfigText.ts"
import { isSection, overPreset } from "./runPresets.ts"

export { RunConfigError } from "./RunConfigError.ts"
export { presetNames, type RunPreset } from "./runPresets.ts"
export { type RunConfig, RunConfigSchema } from "./runConfigSchema.ts"

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

const listOf = (type: string): string => `list of ${type === "section" ? "sections" : type}`

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
      return listOf([...new Set([...ast.elements, ...ast.rest].map(typeOf))].join(" | "))
    default:
      return "section"
  }
}

const describeFields = (ast: SchemaAST.AST, prefix: string): ReadonlyArray<KeyDescription> => {
  if (ast._tag === "Union") return ast.types.flatMap((type) => describeFields(type, prefix))
  if (ast._tag === "Arrays") return ast.rest.flatMap((type) => describeFields(type, prefix))
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

const orElse = (value: unknown, otherwise: number): number => typeof value === "number" ? value : otherwise

/** Fills in the learning rate that `optimizer.baseLearningRate` makes; one given beside it wins. @source `train.py`, `run_training` */
const withLearningRate = (input: unknown): unknown => {
  if (!isSection(input) || !isSection(input["optimizer"])) return input
  const { baseLearningRate, gradientAccumulation, learningRate } = input["optimizer"]
  if (typeof baseLearningRate !== "number" || learningRate !== undefined) return input
  const batchSize = isSection(input["data"]) ? input["data"]["batchSize"] : undefined
  const rows = orElse(batchSize, 512) * orElse(gradientAccumulation, 1)
  return { ...input, optimizer: { ...input["optimizer"], learningRate: (baseLearningRate * rows) / 256 } }
}

/** Names the encoder of a run that names none, as the reference does, so that a checkpoint says which one it was. */
const withEncoder = (input: unknown): unknown => {
  if (!isSection(input)) return input
  const encoder = input["encoder"] === undefined ? {} : input["encoder"]
  return isSection(encoder) && encoder["path"] === undefined && encoder["name"] === undefined
    ? { ...input, encoder: { ...encoder, name: "t5-small" } }
    : input
}

const checkpointChecks = ({ checkpoint, data }: RunConfig): ReadonlyArray<Check> => [
  [checkpoint.keepBest === 0 || data.heldOut !== undefined, "checkpoint.keepBest: the best are told by their held-out loss; give data.heldOut"]
]

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

const scheduleChecks = ({ data, distillation, flow, optimizer }: RunConfig): ReadonlyArray<Check> => {
  const { minimum, maximum } = flow.selfConditionScale
  const { warmupSteps, steps = Infinity, minimumLearningRate: least, learningRate } = optimizer
  return [
    [
      steps !== Infinity || data.epochs !== undefined || distillation !== undefined,
      "optimizer.steps: this key must be given, or data.epochs instead"
    ],
    [minimum <= maximum, `flow.selfConditionScale.minimum: ${minimum} is more than its maximum, ${maximum}`],
    [warmupSteps <= steps, `optimizer.warmupSteps: ${warmupSteps} is more than optimizer.steps, ${steps}`],
    [least <= learningRate, `optimizer.minimumLearningRate: ${least} is more than optimizer.learningRate, ${learningRate}`]
  ]
}

const distillationChecks = ({ distillation }: RunConfig): ReadonlyArray<Check> => {
  if (distillation === undefined) return []
  const { epochsPerRound, stepsPerRound = Infinity, warmupSteps } = distillation
  return [
    [stepsPerRound !== Infinity || epochsPerRound !== undefined, "distillation.stepsPerRound: this key must be given, or distillation.epochsPerRound instead"],
    [warmupSteps <= stepsPerRound, `distillation.warmupSteps: ${warmupSteps} is more than distillation.stepsPerRound, ${stepsPerRound}`]
  ]
}

const sampleChecks = ({ model, sample: { churn, length = 1, solver } }: RunConfig): ReadonlyArray<Check> => [
  [solver !== "sde" || churn === 0, "sample.churn: sde has a churn of its own, sample.gamma; choose another solver or leave churn out"],
  [length <= model.length, `sample.length: ${length} is more than model.length, ${model.length}`]
]

const crossChecks: ReadonlyArray<(config: RunConfig) => ReadonlyArray<Check>> = [
  ({ model }) => modelChecks(model),
  ({ encoder }) => encoderChecks(encoder),
  conditionChecks,
  scheduleChecks,
  checkpointChecks,
  distillationChecks,
  sampleChecks
]

/** What the keys must fulfil together. */
const crossProblems = (config: RunConfig): ReadonlyArray<string> =>
  crossChecks.flatMap((checks) => checks(config))
    .filter(([holds]) => !holds)
    .map(([, problem]) => problem)

const decodeSchema = Schema.decodeUnknownEffect(RunConfigSchema, { onExcessProperty: "error", errors: "all" })

/** Checks a configuration and fills in its defaults; `file` is for error messages. Paths are left as they are. */
export const decode = (input: unknown, file = "the configuration"): Effect.Effect<RunConfig, RunConfigError> =>
  Effect.gen(function*() {
    const filled = withLearningRate(withEncoder(withPreset(yield* overPreset(input))))
    const config = yield* Effect.mapError(decodeSchema(filled), (error) => failing(file, problemsOf(error.issue, filled, places)))
    const problems = crossProblems(config)
    return problems.length === 0 ? config : yield* failing(file, problems)
  })

/** Changes every path of a configuration, and nothing else. */
export const mapPaths = (config: RunConfig, change: (path: string) => string): RunConfig => {
  const all = (pattern: RunConfig["data"]["train"]): RunConfig["data"]["train"] =>
    typeof pattern === "string" ? change(pattern) : [change(pattern[0]), ...pattern.slice(1).map(change)]
  const { encoder, data, checkpoint, distillation, log } = config
  return {
    ...config,
    encoder: encoder.path === undefined ? encoder : { ...encoder, path: change(encoder.path) },
    data: { ...data, train: all(data.train), ...(data.heldOut === undefined ? {} : { heldOut: all(data.heldOut) }) },
    checkpoint: { ...checkpoint, directory: change(checkpoint.directory) },
    log: {
      ...log,
      ...(log.file === undefined ? {} : { file: change(log.file) }),
      ...(log.tensorboard === undefined ? {} : { tensorboard: change(log.tensorboard) })
    },
    ...(distillation === undefined ? {} : { distillation: { ...distillation, teacher: change(distillation.teacher), directory: change(distillation.directory) } })
  }
}

/** Makes the paths of a configuration absolute: relative ones start at the run file's folder. */
export const resolvePaths = (config: RunConfig, folder: string): RunConfig => mapPaths(config, (path) => resolve(folder, path))

/** Reads, parses (by extension: .json, .yaml, .yml) and checks a run file; its relative paths become absolute. */
export const load = (file: string): Effect.Effect<RunConfig, RunConfigError> =>
  Effect.flatMap(readRunFile(file), (input) => Effect.map(decode(input, file), (config) => resolvePaths(config, dirname(resolve(file)))))

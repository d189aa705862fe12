/**
 * Checkpoints of the reference as checkpoints of this library, and back.
 *
 * What is read: the reference's PyTorch file, its Flax msgpack file, safetensors with its parameter names, and folders of
 * this library. What is written: such a folder, which samplers open (they take the moving average, as the reference does)
 * and which training goes on from where the optimiser's state came along; or one safetensors file for PyTorch.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { basename, dirname, resolve } from "node:path"
import { attempt, type DiskError } from "../io/Disk.ts"
import type { ForeignWeights } from "../io/ForeignWeights.ts"
import { Checkpoint, RunConfig, Safetensors } from "../io/index.ts"
import { parameterCount, parameterShapes } from "../model/ModelConfig.ts"
import { type ConvertError, failing } from "./ConvertError.ts"
import { openSource, originKey, type SafetensorsOrigin, sniff, type Source, type SourceError } from "./convertSource.ts"
import { checkParameters, type NetworkSizes, sizesOf } from "./networkSizes.ts"
import { portable } from "./weights.ts"

/** What to convert, and into what. */
export interface ConvertRequest {
  readonly input: string
  readonly output: string
  /** A folder of this library, or a safetensors file that PyTorch loads. Default `elf`. */
  readonly to?: "elf" | "torch"
  /** Only the moving average, or only the weights as trained. Absent: everything for `elf`, the moving average for `torch`. */
  readonly weights?: "ema" | "model"
  /** Run file; needed for `elf` where the checkpoint does not carry its configuration. */
  readonly config?: string
}

/** What was converted. */
export interface Converted {
  readonly input: string
  readonly format: Source["format"]
  readonly output: string
  /** Batches seen in training; 0 where the input does not say. */
  readonly step: number
  readonly sizes: NetworkSizes
  /** Numbers of the network. */
  readonly parameters: number
  /** What each written section holds: the weights as trained, their moving average, the optimiser's state. */
  readonly sections: ReadonlyArray<string>
  readonly bytes: number
  /** What was left out or taken instead, in sentences. */
  readonly notes: ReadonlyArray<string>
}

type Weights = ForeignWeights<SourceError>

const holds = (path: string, name: string): Effect.Effect<boolean, DiskError> =>
  Effect.map(attempt("list", path, (disk) => disk.list(path)), (entries) => entries.length === 0 || entries.some((entry) => entry.name === name))

/** Nothing that is no checkpoint is ever replaced. */
const checkOutput = ({ input, output, to }: ConvertRequest): Effect.Effect<void, ConvertError | DiskError> =>
  Effect.gen(function*() {
    const fail = (detail: string) => failing(output)("output", detail, "name another output")
    if (resolve(input) === resolve(output)) return yield* fail("the output is the input")
    const kind = yield* attempt("look at", output, (disk) => disk.kind(output))
    if (kind === "missing") return
    const replaceable = to === "torch" ? kind === "file" && (yield* sniff(output)) === "safetensors" : kind === "folder" && (yield* holds(output, "checkpoint.json"))
    if (!replaceable) return yield* fail("something of that name exists and is no checkpoint of this kind")
  })

const configurationOf = ({ config }: ConvertRequest, source: Source) =>
  config === undefined ? Effect.succeed(source.configuration) : RunConfig.load(config)

/** The average where there is one; where it was asked for by name, there must be one. */
const average = ({ checkpoint: { ema }, path }: Source, weights: ConvertRequest["weights"]): Effect.Effect<Weights | undefined, ConvertError> =>
  ema === undefined && weights === "ema"
    ? Effect.fail(failing(path)("noAverage", "the checkpoint holds no moving average of the weights", "leave --weights out to take the weights it has"))
    : Effect.succeed(ema)

const noAverage = "The checkpoint holds no moving average of the weights: its only weights are taken."

/** Tensors that are read when they are written: of a large network, one at a time is in memory. */
const deferred = (weights: Weights, names: Iterable<string>): ReadonlyArray<Safetensors.DeferredTensor<SourceError>> =>
  Array.from(names, (name) => ({ name, ...weights.get(name)! }))

/** Optimiser state and whatever else training goes on from, unless other weights than all were asked for. */
const trainingSections = (source: Source, run: RunConfig.RunConfig) => {
  const { optimizer } = source.checkpoint
  if (source.sections !== undefined) return { sections: source.sections, metadata: source.metadata ?? {}, notes: [] }
  if (optimizer === undefined) return { sections: {}, metadata: {}, notes: [] }
  const { kind, moments, updates } = optimizer
  return kind === run.optimizer.kind
    ? { sections: { optimizer: moments }, metadata: { updates }, notes: [] }
    : { sections: {}, metadata: {}, notes: [`The optimiser's state is left out: it is that of ${kind}, the configuration says ${run.optimizer.kind}.`] }
}

interface Plan {
  readonly sections: Readonly<Record<string, Weights>>
  readonly metadata: Readonly<Record<string, unknown>>
  readonly notes: ReadonlyArray<string>
}

/** Which sections a folder gets. With one kind of weights alone they are `model`, which every reader takes. */
const planFolder = (source: Source, run: RunConfig.RunConfig, weights: ConvertRequest["weights"], ema: Weights | undefined): Plan => {
  const { checkpoint: { model, notes } } = source
  if (weights !== undefined) return { sections: { model: weights === "ema" ? ema! : model }, metadata: { weights }, notes: [] }
  const training = trainingSections(source, run)
  return {
    sections: { model, ...(ema === undefined ? {} : { ema }), ...training.sections },
    metadata: training.metadata,
    notes: [...notes, ...training.notes, ...(ema === undefined ? [noAverage] : [])]
  }
}

const checkAll = (plan: Plan, sizes: NetworkSizes, path: string) =>
  Effect.forEach(["model", "ema"].filter((section) => plan.sections[section] !== undefined), (section) =>
    checkParameters(plan.sections[section]!, sizes, path, section), { discard: true })

const writeFolder = Effect.fnUntraced(function*(request: ConvertRequest, source: Source, run: RunConfig.RunConfig, sizes: NetworkSizes) {
  const { output, weights } = request
  const plan = planFolder(source, run, weights, yield* average(source, weights))
  yield* checkAll(plan, sizes, source.path)
  const order = [...parameterShapes(run.model).keys()]
  const sections = Object.fromEntries(Object.entries(plan.sections).map(([section, tensors]) =>
    [section, deferred(tensors, section === "model" || section === "ema" ? order : tensors.keys())]))
  const step = source.checkpoint.step ?? 0
  const metadata = { ...plan.metadata, convertedFrom: { name: basename(source.path), format: source.format } }
  const { bytes } = yield* Checkpoint.writeFolder(output, { step, configuration: portable(run, output), metadata, sections })
  return { bytes, sections: Object.keys(sections), notes: plan.notes }
})

const originFor = (output: string, step: number, weights: "ema" | "model", run: RunConfig.RunConfig | undefined): SafetensorsOrigin =>
  ({ step, weights, ...(run === undefined ? {} : { configuration: portable(run, dirname(output)) }) })

const writeTorch = Effect.fnUntraced(function*(request: ConvertRequest, source: Source, run: RunConfig.RunConfig | undefined, sizes: NetworkSizes) {
  const { output } = request
  const ema = yield* average(source, request.weights)
  const weights = request.weights ?? (ema === undefined ? "model" : "ema")
  const chosen = weights === "ema" ? ema! : source.checkpoint.model
  yield* checkParameters(chosen, sizes, source.path, weights)
  const tensors = deferred(chosen, parameterShapes({ ...sizes, length: 1 }).keys())
  const origin = originFor(output, source.checkpoint.step ?? 0, weights, run)
  // `format: pt` is what PyTorch's own tools write and look for.
  const { bytes } = yield* Safetensors.write(output, tensors, { metadata: { format: "pt", [originKey]: JSON.stringify(origin) } })
  const notes = ema === undefined && request.weights === undefined ? [noAverage] : []
  return { bytes, sections: [weights], notes }
})

const requireConfiguration = (source: Source, run: RunConfig.RunConfig | undefined): Effect.Effect<RunConfig.RunConfig, ConvertError> =>
  run === undefined
    ? Effect.fail(failing(source.path)("noConfiguration", "the checkpoint does not say what it was trained with (the length of its texts, its encoder, its noise)", "give a run file with --config"))
    : Effect.succeed(run)

/** Converts a checkpoint; the output is written whole or not at all. */
export const convert = (request: ConvertRequest): Effect.Effect<Converted, SourceError> =>
  Effect.scoped(Effect.gen(function*() {
    yield* checkOutput(request)
    const source = yield* openSource(request.input)
    const run = yield* configurationOf(request, source)
    const sizes = yield* sizesOf(source.checkpoint.model, source.path, run?.model)
    const written = request.to === "torch"
      ? yield* writeTorch(request, source, run, sizes)
      : yield* writeFolder(request, source, yield* requireConfiguration(source, run), sizes)
    return {
      input: source.path,
      format: source.format,
      output: request.output,
      step: source.checkpoint.step ?? 0,
      sizes,
      parameters: parameterCount({ ...sizes, length: 1 }),
      ...written
    }
  }))

/**
 * Weights from disk: the encoder that a run names, the tensors that a checkpoint holds.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Schema } from "effect"
import { join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { type Checkpoint, RunConfig, T5Folder } from "../io/index.ts"
import { Encoder } from "../model/Encoder.ts"
import { type ModelConfig, parameterShapes } from "../model/ModelConfig.ts"
import type { HostTensor } from "../model/Parameters.ts"

/** The folder of the models that ship with the package. */
export const shippedModels = fileURLToPath(new URL("../../models", import.meta.url))

/** The encoders that ship with the package, by the name that a run file gives. */
const shippedEncoders: Readonly<Record<string, string>> = { sotu: "encoder-sotu" }

/** A run file's encoder does not fit: unknown name, or other sizes than the network expects. */
export class EncoderError extends Schema.TaggedError<EncoderError>()("EncoderError", {
  encoder: Schema.String,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `The encoder ${this.encoder} cannot be used: ${this.detail}. ${this.remedy}.`
  }
}

/** The folder of a run's encoder. */
const encoderFolder = ({ name, path }: RunConfig.RunConfig["encoder"]): Effect.Effect<string, EncoderError> => {
  if (path !== undefined) return Effect.succeed(path)
  const folder = name === undefined ? undefined : shippedEncoders[name]
  return folder === undefined
    ? Effect.fail(new EncoderError({ encoder: String(name), detail: "no encoder of this name ships with the package", remedy: `Use ${Object.keys(shippedEncoders).join(", ")}, or give encoder.path` }))
    : Effect.succeed(join(shippedModels, folder))
}

const misfit = (run: RunConfig.RunConfig, folder: string, width: number, vocabulary: number): EncoderError | undefined => {
  const failing = (detail: string, remedy: string) => new EncoderError({ encoder: folder, detail, remedy })
  if (width !== run.model.textWidth) return failing(`its latents are ${width} wide, model.textWidth is ${run.model.textWidth}`, `Set model.textWidth to ${width}`)
  return vocabulary < run.model.vocabulary
    ? failing(`it knows ${vocabulary} tokens, model.vocabulary is ${run.model.vocabulary}`, `Set model.vocabulary to at most ${vocabulary}`)
    : undefined
}

/** The frozen encoder of a run. */
export const encoderLayer = (run: RunConfig.RunConfig) =>
  Layer.unwrap(Effect.gen(function*() {
    const folder = yield* encoderFolder(run.encoder)
    const weights = yield* T5Folder.load(folder)
    const wrong = misfit(run, folder, weights.config.d_model, weights.config.vocab_size)
    if (wrong !== undefined) return yield* wrong
    return Encoder.layerT5(weights, { mean: run.encoder.latentMean, standardDeviation: run.encoder.latentStandardDeviation })
  }))

/** A run's configuration as a checkpoint in `folder` keeps it: its paths are relative to that folder. */
export const portable = (run: RunConfig.RunConfig, folder: string): RunConfig.RunConfig =>
  RunConfig.mapPaths(run, (path) => relative(resolve(folder), path))

/** The configuration of a checkpoint, its paths absolute again. */
export const checkpointConfig = (checkpoint: Checkpoint.Checkpoint): Effect.Effect<RunConfig.RunConfig, RunConfig.RunConfigError> =>
  Effect.map(RunConfig.decode(checkpoint.configuration, join(checkpoint.path, "checkpoint.json")), (run) =>
    RunConfig.mapPaths(run, (path) => resolve(checkpoint.path, path)))

/** The tensors of one section, all of the expected shapes, in their order. */
export const readSection = Effect.fnUntraced(function*(
  checkpoint: Checkpoint.Checkpoint,
  section: string,
  shapes: ReadonlyMap<string, ReadonlyArray<number>>
) {
  yield* checkpoint.expect(section, Object.fromEntries(shapes))
  const tensors = yield* checkpoint.section(section)
  return Array.from(shapes, ([name, shape]): HostTensor => ({ name, shape, data: Float32Array.from(tensors.get(name)!.data) }))
})

/** The weights that sampling uses: the moving average, where the checkpoint has it. */
export const averagedTensors = (checkpoint: Checkpoint.Checkpoint, model: ModelConfig) =>
  readSection(checkpoint, checkpoint.sections.includes("ema") ? "ema" : "model", parameterShapes(model))

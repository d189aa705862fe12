/** Checkpoint folders as networks. */
import { Effect } from "effect"
import { Checkpoint, ModelConfig, type Parameters, RunConfig } from "../../src/index.ts"

const sectionOf = (checkpoint: Checkpoint.Checkpoint, section: string, config: ModelConfig.ModelConfig) =>
  Effect.map(checkpoint.section(section), (tensors) =>
    Array.from(ModelConfig.parameterShapes(config), ([name, shape]): Parameters.HostTensor => ({ name, shape, data: tensors.get(name)!.data as Float32Array })))

/** The sizes and the weights of a checkpoint: as trained, and their average where it has one. */
export const loadFolder = Effect.fnUntraced(function*(path: string) {
  const checkpoint = yield* Checkpoint.read(path)
  const { model: config } = yield* RunConfig.decode(checkpoint.configuration)
  return {
    config,
    model: yield* sectionOf(checkpoint, "model", config),
    average: checkpoint.sections.includes("ema") ? yield* sectionOf(checkpoint, "ema", config) : undefined
  }
})

/**
 * What a checkpoint holds: its configuration and its tensors.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { join, relative, resolve } from "node:path"
import { type Checkpoint, RunConfig } from "../io/index.ts"
import { type ModelConfig, parameterShapes } from "../model/ModelConfig.ts"
import type { HostTensor } from "../model/Parameters.ts"

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

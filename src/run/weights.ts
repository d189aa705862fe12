/**
 * What a checkpoint holds: its configuration and its tensors.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { join, relative, resolve } from "node:path"
import { Checkpoint, RunConfig, type Safetensors } from "../io/index.ts"
import { type ModelConfig, parameterShapes } from "../model/ModelConfig.ts"
import type { HostTensor } from "../model/Parameters.ts"

/** A run's configuration as a checkpoint in `folder` keeps it: its paths are relative to that folder. */
export const portable = (run: RunConfig.RunConfig, folder: string): RunConfig.RunConfig =>
  RunConfig.mapPaths(run, (path) => relative(resolve(folder), path))

/** The configuration of a checkpoint, its paths absolute again. */
export const checkpointConfig = (checkpoint: Checkpoint.Checkpoint): Effect.Effect<RunConfig.RunConfig, RunConfig.RunConfigError> =>
  Effect.map(RunConfig.decode(checkpoint.configuration, join(checkpoint.path, "checkpoint.json")), (run) =>
    RunConfig.mapPaths(run, (path) => resolve(checkpoint.path, path)))

const explain = <A>(path: string, section: string, read: Effect.Effect<A, Safetensors.SafetensorsError>) =>
  Effect.mapError(read, Checkpoint.fromSafetensorsError(path, section))

/** The tensors of one section, all of the expected shapes, in their order. */
export const readSection = Effect.fnUntraced(function*(
  checkpoint: Checkpoint.Checkpoint,
  section: string,
  shapes: ReadonlyMap<string, ReadonlyArray<number>>
) {
  yield* checkpoint.expect(section, Object.fromEntries(shapes))
  return yield* Effect.scoped(Effect.gen(function*() {
    const file = yield* checkpoint.open(section)
    return yield* Effect.forEach(shapes, ([name, shape]) =>
      Effect.map(explain(checkpoint.path, section, file.read(name)), ({ data }): HostTensor => ({ name, shape, data: data instanceof Float32Array ? data : Float32Array.from(data) })))
  }))
})

/** The weights that sampling uses: the moving average, where the checkpoint has it. */
export const averagedTensors = (checkpoint: Checkpoint.Checkpoint, model: ModelConfig) =>
  readSection(checkpoint, checkpoint.sections.includes("ema") ? "ema" : "model", parameterShapes(model))

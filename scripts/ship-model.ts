/**
 * Makes a small folder for others from a run: one set of weights in half precision, and the configuration with the
 * sampler that the run file now says.
 *
 *     npx node scripts/ship-model.ts runs/sotu.yaml models/elf-sotu [model | ema]
 */
import { Console, Effect } from "effect"
import { resolve } from "node:path"
import { Checkpoint, RunConfig } from "../src/io/index.ts"
import { parameterShapes } from "../src/model/ModelConfig.ts"
import { checkpointConfig, portable, readSection } from "../src/run/weights.ts"

const [runFile = "runs/sotu.yaml", to = "models/elf-sotu", section = "model"] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const { checkpoint: { directory }, sample } = yield* RunConfig.load(runFile)
  const checkpoint = yield* Checkpoint.read(directory)
  const run = { ...(yield* checkpointConfig(checkpoint)), sample }
  const tensors = yield* readSection(checkpoint, section, parameterShapes(run.model))
  const written = yield* Checkpoint.writeFolder(resolve(to), {
    step: checkpoint.step,
    configuration: portable(run, to),
    metadata: { weights: section === "ema" ? "moving average, half precision" : "as trained, half precision" },
    sections: { model: tensors.map((tensor) => ({ ...tensor, dtype: "F16" as const })) }
  })
  yield* Console.log(`${written.path}: step ${written.step}, ${written.bytes} bytes`)
})

await Effect.runPromise(program)

/**
 * Makes a small folder for others from a run: the averaged weights in half precision and the configuration.
 *
 *     node scripts/ship-model.ts out/sotu models/elf-sotu
 */
import { Console, Effect } from "effect"
import { resolve } from "node:path"
import { Checkpoint } from "../src/io/index.ts"
import { parameterShapes } from "../src/model/ModelConfig.ts"
import { checkpointConfig, portable, readSection } from "../src/run/weights.ts"

const [from = "out/sotu", to = "models/elf-sotu"] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const checkpoint = yield* Checkpoint.read(from)
  const run = yield* checkpointConfig(checkpoint)
  const tensors = yield* readSection(checkpoint, "ema", parameterShapes(run.model))
  const written = yield* Checkpoint.writeFolder(resolve(to), {
    step: checkpoint.step,
    configuration: portable(run, to),
    metadata: { weights: "moving average, half precision" },
    sections: { model: tensors.map((tensor) => ({ ...tensor, dtype: "F16" as const })) }
  })
  yield* Console.log(`${written.path}: step ${written.step}, ${written.bytes} bytes`)
})

await Effect.runPromise(program)

/** A checkpoint that answers in milliseconds, and a parquet file of prompts for it: no training, all weights drawn. */
import { Effect, Stream } from "effect"
import { join } from "node:path"
import { keyed } from "../../src/flow/Random.ts"
import { Checkpoint, Parquet, RunConfig } from "../../src/io/index.ts"
import { initialParameters } from "../../src/model/Initialization.ts"
import type { HostTensor } from "../../src/model/Parameters.ts"
import { portable } from "../../src/run/weights.ts"
import { writeTinyEncoder } from "./tinyEncoder.ts"

const source = keyed(7)

/** A fresh network predicts 0 everywhere: noise on all weights makes answers differ. */
const noisy = (tensor: HostTensor): HostTensor => {
  const noise = source.normal({ purpose: `noise/${tensor.name}`, index: 0 }, tensor.data.length)
  return { ...tensor, data: tensor.data.map((x, i) => x + 0.3 * noise[i]!) }
}

/** Writes `encoder/` and `run/` into `folder`; the path of the run. */
export const writeTinyCheckpoint = Effect.fnUntraced(function*(folder: string, step = 1) {
  yield* writeTinyEncoder(join(folder, "encoder"))
  const directory = join(folder, "run")
  const run = yield* RunConfig.decode({
    seed: 1,
    model: { hidden: 16, depth: 1, heads: 2, textWidth: 8, bottleneck: 4, length: 16, vocabulary: 32_100, timeTokens: 1, selfConditionScaleTokens: 1, modeTokens: 1 },
    encoder: { path: join(folder, "encoder"), latentStandardDeviation: 1 },
    data: { train: "none.parquet", condition: { maximum: 8 } },
    optimizer: { steps: 1, warmupSteps: 0, learningRate: 0.01 },
    checkpoint: { directory },
    sample: { steps: 2 }
  })
  yield* Checkpoint.write(directory, {
    step,
    configuration: portable(run, `${directory}/step`),
    metadata: { updates: step },
    sections: { model: initialParameters(run.model, source).map(noisy) }
  }, { keep: 5 })
  return directory
})

const words = "the people of this union have kept their peace through storms and hard winters while others sought only gain".split(" ")

/** Prompt `i`: two to nine words, another one for every number. */
export const tinyPrompt = (i: number): string => `${words.slice(i % 9, i % 9 + 1 + (i * 5) % 8).join(" ")} ${i}`

/** Writes `rows` prompts with their number into `path`. */
export const writePrompts = (path: string, rows: number, rowGroupSize: number, first = 0) =>
  Stream.range(first, first + rows - 1).pipe(
    Stream.map((id) => ({ id, prompt: tinyPrompt(id) })),
    Parquet.write(path, { schema: { id: "int32", prompt: "string" }, rowGroupSize }),
    Stream.runDrain
  )

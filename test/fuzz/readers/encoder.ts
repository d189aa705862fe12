/** A folder as hubs have it: config.json, the index of shards, tokenizer_config.json. */
import { Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { RunConfig, T5Folder } from "../../../src/io/index.ts"
import { SafetensorsError } from "../../../src/io/SafetensorsError.ts"
import { TokenizeError } from "../../../src/model/Tokenizer.ts"
import { tokenizerLayer } from "../../../src/run/encoder.ts"
import { EncoderError } from "../../../src/run/encoderPlace.ts"
import { changedJson } from "../json.ts"
import { type Reader, require } from "../Reader.ts"
import { fuzzFolder, place } from "./folder.ts"

const source = join(import.meta.dirname, "../../fixtures/encoders/t5-v1.1")
const files = ["config.json", "model.safetensors.index.json", "tokenizer_config.json"] as const
const texts = files.map((name) => readFileSync(join(source, name)))

let placed = false
const placeOthers = () => {
  if (placed) return
  for (const name of ["tokenizer.json", ...[1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`)]) place(name, readFileSync(join(source, name)))
  placed = true
}

const run = RunConfig.decode({
  encoder: { path: fuzzFolder() },
  model: { hidden: 16, depth: 1, heads: 2, textWidth: 24, bottleneck: 4, length: 16, vocabulary: 100 },
  data: { train: "none.parquet" },
  optimizer: { steps: 1 },
  checkpoint: { directory: "none" }
})

const readWeights = Effect.map(T5Folder.load(fuzzFolder()), ({ config, tensors }) =>
  require(config.num_layers === 2 && tensors.length > 10, "the weights do not fit"))

const readVocabulary = Effect.scoped(Effect.flatMap(run, (run) => Layer.build(tokenizerLayer(run))))

export const encoder: Reader = {
  make: (draw) => {
    const which = draw(files.length)
    return Object.fromEntries(files.map((name, i) => [name, i === which ? changedJson(texts[i]!, draw) : texts[i]!]))
  },
  read: (from) =>
    Effect.suspend((): Effect.Effect<unknown, unknown> => {
      placeOthers()
      for (const [name, bytes] of Object.entries(from)) place(name, bytes as Uint8Array)
      return texts[2]!.equals((from as Readonly<Record<string, Uint8Array>>)["tokenizer_config.json"]!) ? readWeights : readVocabulary
    }),
  isTyped: (error) => [T5Folder.T5FolderError, SafetensorsError, EncoderError, TokenizeError].some((kind) => error instanceof kind)
}

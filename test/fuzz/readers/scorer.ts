/** What a scorer is opened from: a GPT-2's configuration and vocabulary, a counted corpus. */
import { Effect } from "effect"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Gpt2Folder } from "../../../src/io/index.ts"
import { DiskError } from "../../../src/io/Disk.ts"
import { SafetensorsError } from "../../../src/io/SafetensorsError.ts"
import { model } from "../../../src/metrics/KneserNey.ts"
import { TokenizeError } from "../../../src/model/Tokenizer.ts"
import { EvaluationError } from "../../../src/run/evaluation/EvaluationError.ts"
import { findScorer } from "../../../src/run/evaluation/openScorer.ts"
import { readNgrams } from "../../../src/run/evaluation/ngramFile.ts"
import { mutate } from "../bytes.ts"
import { changedJson, type Json, mutateJson } from "../json.ts"
import { type Draw, pick, type Reader, require } from "../Reader.ts"
import { fuzzFolder, place } from "./folder.ts"
import { fileOf } from "./safetensors.ts"

const source = join(import.meta.dirname, "../../fixtures/gpt2")
const names = ["config.json", "vocab.json", "merges.txt", "model.safetensors"] as const
const texts = names.map((name) => readFileSync(join(source, name)))

const folder = join(fuzzFolder(), "gpt2")

const changedGpt2 = (draw: Draw) => {
  const which = draw(3)
  const change = (text: Buffer): Uint8Array => which === 2 ? mutate(text, draw) : changedJson(text, draw)
  return Object.fromEntries(names.map((name, i) => [`gpt2/${name}`, i === which ? change(texts[i]!) : texts[i]!]))
}

const readGpt2 = Effect.gen(function*() {
  yield* findScorer({ name: folder })
  const { config, tensors } = yield* Gpt2Folder.load(folder)
  require(tensors.every(({ data, shape }) => data.length === shape.reduce((a, b) => a * b, 1)), `${config.n_layer} layers do not fit`)
})

/** Two levels of a tree: four tokens, and what follows the first two. */
const table = { parents: [0, 0, 0, 0, 1, 1, 2], tokens: [0, 1, 2, 3, 1, 2, 0], counts: [4, 3, 2, 1, 2, 1, 3] }
const settings: Json = { order: 2, vocabulary: 4, origin: { corpus: "texts.parquet", identity: "ab", tokens: 10 } }

const changedNgrams = (draw: Draw): Uint8Array => {
  const columns = Object.entries(table).map(([name, values]) =>
    ({ name, values: Int32Array.from(values, (value) => draw(12) === 0 ? pick(draw, [0, 1, -1, 2, 6, 7, 2 ** 31 - 1, -(2 ** 31)]) : value) }))
  const data = Buffer.concat(columns.map(({ values }) => Buffer.from(values.buffer)))
  const offsets = (i: number): ReadonlyArray<number> => [28 * i, 28 * (i + 1)]
  const header: Json = {
    __metadata__: { format: "elf-streams n-grams 1", settings: draw(2) === 0 ? JSON.stringify(settings) : mutateJson(settings, draw) },
    ...Object.fromEntries(columns.map(({ name }, i) => [name, { dtype: "I32", shape: [7], data_offsets: offsets(i) }]))
  }
  const file = fileOf(draw(3) === 0 ? mutateJson(header, draw) : JSON.stringify(header), data)
  return draw(4) === 0 ? mutate(file, draw) : file
}

const ngramFile = "ngrams.safetensors"

const readCounts = Effect.map(Effect.suspend(() => readNgrams(join(fuzzFolder(), ngramFile))), ({ counts }) => {
  const losses = model(counts).losses(Int32Array.of(0, 1, 2).map((token) => Math.min(token, counts.vocabulary - 1)))
  require(losses.every((loss) => Number.isFinite(loss) && loss >= 0), `its losses are ${losses.join(", ")}`)
})

export const scorer: Reader = {
  make: (draw) => draw(2) === 0 ? changedGpt2(draw) : { [ngramFile]: changedNgrams(draw) },
  read: (from) =>
    Effect.suspend((): Effect.Effect<unknown, unknown> => {
      mkdirSync(folder, { recursive: true })
      for (const [name, bytes] of Object.entries(from)) place(name, bytes as Uint8Array)
      return ngramFile in from ? readCounts : readGpt2
    }),
  isTyped: (error) => [EvaluationError, Gpt2Folder.Gpt2FolderError, SafetensorsError, TokenizeError, DiskError].some((kind) => error instanceof kind)
}

/**
 * The encoder that ships, without context: each token's own embedding, normalised as the encoder normalises what it puts
 * out. A T5 encoder cannot have no layer, so this one has one that adds nothing.
 */
import { Effect, Stream } from "effect"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet, Safetensors, T5Folder } from "../../../src/io/index.ts"
import { Encoder, type T5Weights } from "../../../src/model/Encoder.ts"
import { t5Shapes } from "../../../src/model/T5Encoder.ts"
import { Tokenizer } from "../../../src/model/Tokenizer.ts"
import { pack, tokenize } from "../../../src/streams/index.ts"
import { root } from "../elf.ts"
import { corpus, type LatentStatistics, tokenTable } from "./variants.ts"

const shipped = join(root, "models", "encoder-sotu")
const statisticsFile = join(tokenTable, "statistics.json")

/** The same token table, gains of one, and zeros for whatever would mix tokens. */
export const withoutContext = ({ config, tensors }: T5Weights): T5Weights => {
  const table = tensors.find(({ name }) => name === "shared.weight")!
  const flat = { ...config, num_layers: 1 }
  const filled = (name: string, shape: ReadonlyArray<number>) => new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(name.endsWith("layer_norm.weight") ? 1 : 0)
  return { config: flat, tensors: Array.from(t5Shapes(flat), ([name, shape]) => name === table.name ? table : { name, shape, data: filled(name, shape) }) }
}

const write = Effect.fnUntraced(function*({ config, tensors }: T5Weights) {
  mkdirSync(tokenTable, { recursive: true })
  yield* Safetensors.write(join(tokenTable, "model.safetensors"), tensors.map((tensor) => ({ ...tensor, dtype: "F16" as const })))
  writeFileSync(join(tokenTable, "config.json"), JSON.stringify({ model_type: "t5", ...config }))
})

/** The first rows of a part of the corpus: their ids and latents. */
export const latentsOf = Effect.fnUntraced(function*(part: Parameters<typeof corpus>[0], rows: number) {
  const { endOfSequenceId, padId } = yield* Tokenizer
  const { embed } = yield* Encoder
  const batches = yield* Parquet.read(corpus(part), { column: "text" }).pipe(
    tokenize,
    pack({ length: 64, endOfSequenceId, padId, remainder: "drop" }),
    Stream.take(rows),
    Stream.grouped(64),
    Stream.mapEffect((group) => {
      const ids = Int32Array.from(group.flatMap(({ ids }) => [...ids]))
      return Effect.map(embed({ size: group.length, length: 64, ids }), (latents) => ({ ids, latents }))
    }),
    Stream.runCollect
  )
  return { ids: Int32Array.from(batches.flatMap(({ ids }) => [...ids])), latents: Float32Array.from(batches.flatMap(({ latents }) => [...latents])) }
})

/** Mean and deviation of the latents of the held-out text, the rows that the shipped encoder's were measured on. */
const measure = Effect.fnUntraced(function*() {
  const { latents } = yield* latentsOf("held-out", 256)
  const mean = latents.reduce((a, b) => a + b, 0) / latents.length
  return { mean, standardDeviation: Math.sqrt(latents.reduce((sum, x) => sum + (x - mean) ** 2, 0) / latents.length) }
})

/** Writes the encoder without context where it is not there yet. → what its latents are normalised by */
export const makeTokenTable = Effect.fnUntraced(function*() {
  if (existsSync(statisticsFile)) return JSON.parse(readFileSync(statisticsFile, "utf8")) as LatentStatistics
  yield* write(withoutContext(yield* T5Folder.load(shipped)))
  const encoder = Encoder.layerT5(yield* T5Folder.load(tokenTable), { mean: 0, standardDeviation: 1 })
  const statistics: LatentStatistics = yield* measure().pipe(Effect.provide([encoder, Tokenizer.layer]))
  writeFileSync(statisticsFile, JSON.stringify(statistics))
  return statistics
})

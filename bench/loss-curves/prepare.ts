/**
 * The rows that both implementations train on, in one order, and the frozen encoder that both embed them with.
 *
 * Rows are packed from `out/corpus` as in training; half of them have a condition, a quarter of them ends in padding. The
 * vocabulary is cut to the most frequent pieces (all others become `<unk>`): with all 32,100 the update of the unembedding
 * would take most of the time and prove nothing more. The encoder is `models/encoder-sotu` with the embeddings of those
 * pieces, so it fits transformers' `T5EncoderModel` and `T5Folder` alike.
 */
import { Effect, Stream } from "effect"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Parquet, pack, Random, Safetensors, type Sequence, splitCondition, T5Folder, tokenize, Tokenizer } from "../../src/index.ts"
import { settings } from "./settings.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const seed = 0
const unknownId = 2
/** `<pad>`, `</s>` and `<unk>` keep their ids. */
const special = 3

const paddedShare = 0.25

/** Cuts a share of the rows short, behind their condition. */
const withPadding = (row: Sequence): Sequence => {
  const [chosen, share] = Random.keyed(seed).uniform({ purpose: "padding", index: row.index }, 2)
  if (chosen! >= paddedShare) return row
  const least = Math.max(row.conditionLength + 1, row.ids.length / 2)
  const length = Math.floor(least + share! * (row.ids.length - least))
  return { ...row, ids: row.ids.map((id, i) => i < length ? id : 0), length }
}

const rows = Stream.unwrap(Effect.map(Tokenizer, ({ endOfSequenceId, padId }) =>
  Parquet.read(join(root, "out/corpus/train.parquet"), { column: "text" }).pipe(
    tokenize,
    pack({ length: settings.max_length, endOfSequenceId, padId, remainder: "drop" }),
    Stream.take(settings.steps * settings.batch_size),
    splitCondition({ probability: 0.5, minimum: 8, maximum: 40, seed }),
    Stream.map(withPadding)
  )))

/** The kept pieces: new id → old id. */
const frequentPieces = (rows: ReadonlyArray<Sequence>): ReadonlyArray<number> => {
  const counts = new Map<number, number>()
  for (const { ids } of rows) for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  const frequent = [...counts].filter(([id]) => id >= special).toSorted(([a, n], [b, m]) => m - n || a - b).map(([id]) => id)
  return [0, 1, 2, ...frequent.slice(0, settings.vocab_size - special)]
}

/** The chosen rows of an embedding `[vocabulary, width]`. */
const gather = (data: Float32Array, width: number, rows: ReadonlyArray<number>): Float32Array => {
  const out = new Float32Array(rows.length * width)
  rows.forEach((row, i) => out.set(data.subarray(row * width, (row + 1) * width), i * width))
  return out
}

const writeEncoder = Effect.fnUntraced(function*(folder: string, pieces: ReadonlyArray<number>) {
  const shipped = join(root, "models/encoder-sotu")
  const { config, tensors } = yield* T5Folder.load(shipped)
  const cut = tensors.map((tensor) =>
    tensor.name === "shared.weight"
      ? { ...tensor, shape: [pieces.length, config.d_model], data: gather(tensor.data, config.d_model, pieces) }
      : tensor)
  mkdirSync(folder, { recursive: true })
  yield* Safetensors.write(join(folder, "model.safetensors"), cut, { metadata: { format: "pt" } })
  const file = JSON.parse(readFileSync(join(shipped, "config.json"), "utf8")) as object
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...file, vocab_size: pieces.length }))
})

const known = (pieces: ReadonlyArray<number>) => {
  const newIds = new Map(pieces.map((old, id) => [old, id]))
  return (id: number): number => newIds.get(id) ?? unknownId
}

/** Writes `rows.safetensors` and `encoder/` into `folder`; says which share of the tokens is `<unk>`. */
export const prepare = Effect.fnUntraced(function*(folder: string) {
  const packed = yield* Stream.runCollect(rows)
  const pieces = frequentPieces(packed)
  yield* writeEncoder(join(folder, "encoder"), pieces)
  const ids = Int32Array.from(packed.flatMap((row) => [...row.ids]), known(pieces))
  const numbers = (of: (row: Sequence) => number) => Int32Array.from(packed, of)
  yield* Safetensors.write(join(folder, "rows.safetensors"), [
    { name: "ids", shape: [packed.length, settings.max_length], data: ids },
    { name: "lengths", shape: [packed.length], data: numbers(({ length }) => length) },
    { name: "conditionLengths", shape: [packed.length], data: numbers(({ conditionLength }) => conditionLength) }
  ])
  return ids.filter((id) => id === unknownId).length / ids.length
}, Effect.provide(Tokenizer.layer))

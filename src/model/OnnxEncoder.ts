/**
 * Encoders from ONNX files: a second layer of `Encoder`, for people who bring an encoder that is no T5.
 *
 * It needs the optional package `@huggingface/transformers`, whose ONNX Runtime runs the file on the CPU.
 */
import { Effect, Layer } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { Encoder, type EncoderRows, type LatentNormalization } from "./Encoder.ts"
import { maskPasses, type MaskPasses } from "./maskPasses.ts"
import { failing, type OnnxEncoderError } from "./OnnxEncoderError.ts"
import { type OnnxSession, openSession } from "./OnnxSession.ts"

export { OnnxEncoderError } from "./OnnxEncoderError.ts"

/** Where the encoder is. */
export interface OnnxEncoderOptions {
  /** Folder in the usual layout: `config.json`, `tokenizer.json`, `onnx/model.onnx`. */
  readonly folder: string
  /** The file in it. Default `onnx/model.onnx`. */
  readonly file?: string
}

/** The sizes that `config.json` gives; T5 and BERT name the width differently. */
interface Sizes {
  readonly width: number
  readonly vocabulary: number
  /** Longest row; absent where positions are relative. */
  readonly positions: number | undefined
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1

const readSizes = (folder: string): Effect.Effect<Sizes, OnnxEncoderError> =>
  Effect.tryPromise({
    try: async () => {
      const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as Record<string, unknown>
      const { d_model, dim, hidden_size, max_position_embeddings: positions, vocab_size: vocabulary } = config
      const width = hidden_size ?? d_model ?? dim
      if (!isCount(width)) throw new Error("it has no hidden_size")
      if (!isCount(vocabulary)) throw new Error("it has no vocab_size")
      return { width, vocabulary, positions: isCount(positions) ? positions : undefined }
    },
    catch: (cause) => failing(folder)("load", `config.json cannot be read (${cause instanceof Error ? cause.message : String(cause)})`, "Give a folder with the config.json of the encoder")
  })

/** What is given to one call of the encoder, and where its states go. */
type Passes = Pick<MaskPasses, "keys"> & { readonly rows: ReadonlyArray<number>; readonly take: Int32Array | undefined }

/** Every row once, and each position its own. */
const once = ({ size }: EncoderRows, keys: Float32Array): Passes => ({ rows: Array.from({ length: size }, (_, row) => row), keys, take: undefined })

const everyKey = (mask: Float32Array): boolean => mask.every((seen) => seen === 1)

const mixed = "this encoder takes one mask for all queries of a row, and the row's text sees its condition while the condition does not see the text. " +
  "No number of passes with such masks gives the same numbers"

const mixedRemedy = "Export the encoder with attention_mask of shape [batch, query, key], use encoder.kind t5, or train without conditions"

const passesFor = (session: OnnxSession, rows: EncoderRows, fail: ReturnType<typeof failing>): Effect.Effect<Passes, OnnxEncoderError> => {
  const { length, mask, size } = rows
  if (session.maskRank === 3) return Effect.succeed(once(rows, mask ?? new Float32Array(size * length * length).fill(1)))
  if (mask === undefined || everyKey(mask)) return Effect.succeed(once(rows, new Float32Array(size * length).fill(1)))
  if (session.maskRank === 0) return Effect.fail(fail("mask", "it takes no attention_mask, and some rows have padding or a condition", "Export it with the input attention_mask"))
  const split = maskPasses(mask, size, length)
  return "take" in split ? Effect.succeed(split) : Effect.fail(fail("mask", mixed, mixedRemedy, split.row))
}

const gatherIds = ({ ids, length }: EncoderRows, { rows }: Passes): Int32Array => {
  const out = new Int32Array(rows.length * length)
  rows.forEach((row, i) => out.set(ids.subarray(row * length, (row + 1) * length), i * length))
  return out
}

/** Each position's states from its pass, normalised. A position that sees nothing has no latent: it gets the mean, 0. */
const scatter = (states: Float32Array, width: number, { length, size }: EncoderRows, { take }: Passes, { mean, standardDeviation }: LatentNormalization): Float32Array => {
  const out = new Float32Array(size * length * width)
  for (let position = 0; position < size * length; position++) {
    const pass = take === undefined ? Math.floor(position / length) : take[position]!
    if (pass === -1) continue
    const from = (pass * length + position % length) * width
    for (let channel = 0; channel < width; channel++) out[position * width + channel] = (states[from + channel]! - mean) / standardDeviation
  }
  return out
}

const make = Effect.fnUntraced(function*({ file = "onnx/model.onnx", folder }: OnnxEncoderOptions, normalization: LatentNormalization) {
  const fail = failing(join(folder, file))
  const { positions, vocabulary, width } = yield* readSizes(folder)
  const session = yield* openSession(folder, file)
  const run = (rows: EncoderRows, passes: Passes) =>
    Effect.tryPromise({
      try: async () => {
        const found = await session.run(gatherIds(rows, passes), passes.keys, passes.rows.length, rows.length)
        if (found.width !== width) throw new Error(`its states are ${found.width} wide, config.json says ${width}`)
        return scatter(found.states, width, rows, passes, normalization)
      },
      catch: (cause) => fail("run", cause instanceof Error ? cause.message.split("\n")[0]!.replace(/\.$/, "") : String(cause), "Check that file, config.json and tokenizer.json belong together")
    })
  return Encoder.of({
    width,
    vocabulary,
    // A native call cannot be stopped, and its session must not be closed under it.
    embed: (rows) =>
      Effect.uninterruptible(Effect.gen(function*() {
        const foreign = rows.ids.findIndex((id) => id < 0 || id >= vocabulary)
        if (foreign !== -1) return yield* fail("run", `it knows the ids from 0 to ${vocabulary - 1}, one is ${rows.ids[foreign]}`, "Tokenise with the vocabulary of this encoder", Math.floor(foreign / rows.length))
        if (positions !== undefined && rows.length > positions) return yield* fail("run", `it knows ${positions} positions, the rows have ${rows.length}`, `Set model.length to at most ${positions}`)
        const passes = yield* passesFor(session, rows, fail)
        return passes.rows.length === 0 ? new Float32Array(rows.size * rows.length * width) : yield* run(rows, passes)
      }))
  })
})

/**
 * An encoder from an ONNX file.
 *
 * **Details** An encoder whose `attention_mask` is `[batch, query, key]` carries out any mask of pairs. One whose mask is
 * `[batch, key]`, which is the usual kind, carries out those that split exactly: rows without condition, conditions by
 * themselves (all of inference), rows whose label is dropped. A row whose text sees its condition is refused with
 * `OnnxEncoderError`, reason "mask": there is no exact way.
 */
export const layer = (options: OnnxEncoderOptions, normalization: LatentNormalization): Layer.Layer<Encoder, OnnxEncoderError> =>
  Layer.effect(Encoder, make(options, normalization))

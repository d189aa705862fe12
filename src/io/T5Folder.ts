/**
 * T5 encoders from a folder in the usual layout: `config.json` beside `model.safetensors` (or its shards, or
 * `pytorch_model.bin`).
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { join } from "node:path"
import type { T5Weights } from "../model/Encoder.ts"
import { type T5Config, t5Shapes } from "../model/T5Encoder.ts"
import { keyed, upTo } from "./configFields.ts"
import type { ForeignWeights } from "./ForeignWeights.ts"
import { parseJson, readSmallText } from "./smallText.ts"
import { failing, type T5FolderError } from "./T5FolderError.ts"
import { openTensors, type TensorsError } from "./t5Tensors.ts"

export { T5FolderError } from "./T5FolderError.ts"
export type { TensorsError } from "./t5Tensors.ts"

/** Far beyond every encoder there is. */
const Count = upTo(1 << 24)

/** The keys of `config.json` that matter; older files leave out the defaults. Only what is computed here is accepted. */
const ConfigFile = Schema.Struct({
  model_type: keyed(Schema.Literals(["t5", "mt5"]), "t5"),
  vocab_size: Count,
  d_model: Count,
  d_kv: Count,
  d_ff: Count,
  num_layers: upTo(1024),
  num_heads: Count,
  relative_attention_num_buckets: keyed(Count, 32),
  relative_attention_max_distance: keyed(Count, 128),
  feed_forward_proj: keyed(Schema.Literals(["relu", "gated-gelu"]), "relu"),
  layer_norm_epsilon: keyed(Schema.Literal(1e-6), 1e-6)
})

const remedy = "Give a folder with the config.json and model.safetensors of a T5 encoder"

const readConfig = (folder: string): Effect.Effect<T5Config, T5FolderError> =>
  Effect.tryPromise({
    try: async () => parseJson(await readSmallText(join(folder, "config.json"))),
    catch: (cause) => failing(folder, `config.json cannot be read (${cause instanceof Error ? cause.message : String(cause)})`, remedy)
  }).pipe(
    Effect.flatMap((json) =>
      Effect.mapError(Schema.decodeUnknownEffect(ConfigFile)(json), (error) =>
        failing(folder, `config.json is not a T5 configuration (${error.message.split("\n").join(" ")})`, remedy))
    ),
    Effect.map(({ layer_norm_epsilon: _, model_type: _type, ...config }) => config)
  )

const sameShape = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean => a.length === b.length && a.every((n, i) => n === b[i])

/** Some files hold the embedding, which encoder and decoder share, under the encoder's name for it alone. */
const embedding = { usual: "shared.weight", encoders: "encoder.embed_tokens.weight" } as const

const nameIn = (tensors: ForeignWeights<unknown>, name: string): string =>
  name === embedding.usual && !tensors.has(name) ? embedding.encoders : name

const mismatches = (tensors: ForeignWeights<unknown>, config: T5Config): ReadonlyArray<string> =>
  Array.from(t5Shapes(config)).flatMap(([name, shape]) => {
    const found = tensors.get(nameIn(tensors, name))
    if (found === undefined) return [`${name} is missing`]
    return sameShape(found.shape, shape) ? [] : [`${name} is [${found.shape.join(", ")}] instead of [${shape.join(", ")}]`]
  })

/**
 * Tensors of an encoder that computes something else: more layers, a bias in each of them. What is not the encoder's (a
 * whole checkpoint holds the decoder too) is none of our business.
 */
const surplus = (tensors: ForeignWeights<unknown>, config: T5Config): ReadonlyArray<string> => {
  const known = t5Shapes(config)
  return [...tensors.keys()]
    .filter((name) => name.startsWith("encoder.") && name !== embedding.encoders && !known.has(name))
    .map((name) => `${name} has no place in it`)
}

const shortened = (problems: ReadonlyArray<string>): string =>
  problems.length <= 4 ? problems.join("; ") : `${problems.slice(0, 3).join("; ")}; and ${problems.length - 3} more`

/** Reads an encoder's configuration and weights into memory, as 32-bit floats. */
export const load = (folder: string): Effect.Effect<T5Weights, TensorsError> =>
  Effect.scoped(Effect.gen(function*() {
    const config = yield* readConfig(folder)
    const found = yield* openTensors(folder)
    const wrong = [...mismatches(found, config), ...surplus(found, config)]
    if (wrong.length > 0) return yield* failing(folder, `the weights do not fit config.json: ${shortened(wrong)}`, remedy)
    const tensors = yield* Effect.forEach(t5Shapes(config), ([name, shape]) =>
      Effect.map(found.get(nameIn(found, name))!.read, (data) => ({ name, shape, data })))
    return { config, tensors }
  }))

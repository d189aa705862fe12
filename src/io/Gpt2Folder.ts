/**
 * GPT-2 from a folder in the usual layout: `config.json` beside `model.safetensors` (or its shards, or
 * `pytorch_model.bin`).
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { join } from "node:path"
import { type Gpt2Config, gpt2Shapes } from "../model/Gpt2.ts"
import type { Gpt2Weights } from "../model/LanguageModel.ts"
import { keyed, upTo } from "./configFields.ts"
import type { ForeignWeights } from "./ForeignWeights.ts"
import type { SafetensorsError } from "./SafetensorsError.ts"
import type { T5FolderError } from "./T5FolderError.ts"
import { parseJson, readSmallText } from "./smallText.ts"
import { openTensors } from "./t5Tensors.ts"
import type { TorchFileError } from "./torch/TorchFileError.ts"

/** A folder is no GPT-2: a file is missing or unreadable, or the weights do not fit the configuration. */
export class Gpt2FolderError extends Schema.TaggedError<Gpt2FolderError>()("Gpt2FolderError", {
  folder: Schema.String,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.folder} is not a usable GPT-2: ${this.detail}. ${this.remedy}.`
  }
}

/** What keeps a GPT-2 from being loaded. */
export type LoadGpt2Error = Gpt2FolderError | SafetensorsError | TorchFileError

const Count = upTo(2 ** 31 - 1)

/** The keys of `config.json` that matter; older files leave out the defaults. Only what is computed here is accepted. */
const ConfigFile = Schema.Struct({
  model_type: Schema.Literal("gpt2"),
  vocab_size: Count,
  n_positions: keyed(Count, 1024),
  n_embd: Count,
  n_layer: upTo(1024),
  n_head: Count,
  n_inner: keyed(Schema.NullOr(Count), null),
  layer_norm_epsilon: keyed(Schema.Finite, 1e-5),
  activation_function: keyed(Schema.Literal("gelu_new"), "gelu_new"),
  scale_attn_weights: keyed(Schema.Literal(true), true),
  scale_attn_by_inverse_layer_idx: keyed(Schema.Literal(false), false),
  tie_word_embeddings: keyed(Schema.Literal(true), true)
})

const remedy = "Give a folder with the config.json and model.safetensors of a GPT-2, as save_pretrained writes them"

const failing = (folder: string, detail: string): Gpt2FolderError => new Gpt2FolderError({ folder, detail, remedy })

const readConfig = (folder: string): Effect.Effect<Gpt2Config, Gpt2FolderError> =>
  Effect.tryPromise({
    try: async () => parseJson(await readSmallText(join(folder, "config.json"))),
    catch: (cause) => failing(folder, `config.json cannot be read (${cause instanceof Error ? cause.message : String(cause)})`)
  }).pipe(
    Effect.flatMap((json) =>
      Effect.mapError(Schema.decodeUnknownEffect(ConfigFile)(json), (error) => failing(folder, `config.json is not that of a GPT-2 computed here (${error.message.split("\n").join(" ")})`))),
    Effect.filterOrFail(({ n_embd, n_head }) => n_embd % n_head === 0, ({ n_embd, n_head }) => failing(folder, `its width ${n_embd} is not divisible into ${n_head} heads`)),
    Effect.map(({ layer_norm_epsilon, n_embd, n_head, n_inner, n_layer, n_positions, vocab_size }) =>
      ({ layer_norm_epsilon, n_embd, n_head, n_inner: n_inner ?? 4 * n_embd, n_layer, n_positions, vocab_size }))
  )

/** With a head for language the model lies under this prefix; the hub's own file of GPT-2 is without. */
const prefix = "transformer."

const nameIn = (tensors: ForeignWeights<unknown>, name: string): string => tensors.has(prefix + name) ? prefix + name : name

const mismatches = (tensors: ForeignWeights<unknown>, config: Gpt2Config): ReadonlyArray<string> =>
  Array.from(gpt2Shapes(config)).flatMap(([name, shape]) => {
    const found = tensors.get(nameIn(tensors, name))
    if (found === undefined) return [`${name} is missing`]
    return found.shape.join() === shape.join() ? [] : [`${name} is [${found.shape.join(", ")}] instead of [${shape.join(", ")}]`]
  })

/** Layers beyond those of the configuration: another model. Masks and a tied head, which some files hold too, are not. */
const surplus = (tensors: ForeignWeights<unknown>, { n_layer }: Gpt2Config): ReadonlyArray<string> =>
  [...tensors.keys()].filter((name) => Number(/^(?:transformer\.)?h\.(\d+)\./.exec(name)?.[1] ?? 0) >= n_layer).map((name) => `${name} has no place in it`)

/** A folder whose weights fit its configuration; they are not read yet. */
const open = (folder: string) =>
  Effect.gen(function*() {
    const config = yield* readConfig(folder)
    const found = yield* openTensors(folder)
    const wrong = [...mismatches(found, config), ...surplus(found, config)]
    if (wrong.length > 0) return yield* failing(folder, `the weights do not fit config.json: ${wrong.slice(0, 4).join("; ")}${wrong.length > 4 ? `; and ${wrong.length - 4} more` : ""}`)
    return { config, found }
  })

/** The reader of tensors speaks of encoders. */
const explained = ({ detail, folder }: T5FolderError) => Effect.fail(failing(folder, detail))

/** The configuration of a GPT-2 whose weights fit it: all that can be said without reading them. */
export const check = (folder: string): Effect.Effect<Gpt2Config, LoadGpt2Error> => 
  Effect.scoped(Effect.map(open(folder), ({ config }) => config)).pipe(Effect.catchTag("T5FolderError", explained))

/** Reads a GPT-2's configuration and weights into memory, as 32-bit floats. */
export const load = (folder: string): Effect.Effect<Gpt2Weights, LoadGpt2Error> =>
  Effect.scoped(Effect.gen(function*() {
    const { config, found } = yield* open(folder)
    const tensors = yield* Effect.forEach(gpt2Shapes(config), ([name, shape]) =>
      Effect.map(found.get(nameIn(found, name))!.read, (data) => ({ name, shape, data })))
    return { config, tensors }
  })).pipe(Effect.catchTag("T5FolderError", explained))

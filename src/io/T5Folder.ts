/**
 * T5 encoders from a folder in the usual layout: `config.json` beside `model.safetensors`.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { T5Weights } from "../model/Encoder.ts"
import { type T5Config, t5Shapes } from "../model/T5Encoder.ts"
import * as Safetensors from "./Safetensors.ts"

/** A folder is no T5 encoder: a file is missing or unreadable, or the weights do not fit the configuration. */
export class T5FolderError extends Schema.TaggedError<T5FolderError>()("T5FolderError", {
  folder: Schema.String,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.folder} is not a usable T5 encoder: ${this.detail}. ${this.remedy}.`
  }
}

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const keyed = <S extends Schema.Top>(schema: S, value: S["Encoded"]) => schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** The keys of `config.json` that matter; older files leave out the defaults. */
const ConfigFile = Schema.Struct({
  vocab_size: Count,
  d_model: Count,
  d_kv: Count,
  d_ff: Count,
  num_layers: Count,
  num_heads: Count,
  relative_attention_num_buckets: keyed(Count, 32),
  relative_attention_max_distance: keyed(Count, 128),
  feed_forward_proj: keyed(Schema.Literals(["relu", "gated-gelu"]), "relu")
})

const failing = (folder: string, detail: string, remedy: string) => new T5FolderError({ folder, detail, remedy })

const remedy = "Give a folder with the config.json and model.safetensors of a T5 encoder"

const readConfig = (folder: string): Effect.Effect<T5Config, T5FolderError> =>
  Effect.tryPromise({
    try: async () => JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as unknown,
    catch: (cause) => failing(folder, `config.json cannot be read (${cause instanceof Error ? cause.message : String(cause)})`, remedy)
  }).pipe(
    Effect.flatMap((json) =>
      Effect.mapError(Schema.decodeUnknownEffect(ConfigFile)(json), (error) =>
        failing(folder, `config.json is not a T5 configuration (${error.message.split("\n").join(" ")})`, remedy))
    )
  )

const sameShape = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean => a.length === b.length && a.every((n, i) => n === b[i])

/** Whole T5 models also hold a decoder, and some files the tied embedding under its second name: both are left aside. */
const nameIn = (tensors: ReadonlyMap<string, unknown>, name: string): string =>
  name === "shared.weight" && !tensors.has(name) ? "encoder.embed_tokens.weight" : name

const mismatches = (tensors: Safetensors.SafetensorsFile["tensors"], config: T5Config): ReadonlyArray<string> =>
  Array.from(t5Shapes(config)).flatMap(([name, shape]) => {
    const found = tensors.get(nameIn(tensors, name))
    if (found === undefined) return [`${name} is missing`]
    return sameShape(found.shape, shape) ? [] : [`${name} is [${found.shape.join(", ")}] instead of [${shape.join(", ")}]`]
  })

/** Reads an encoder's configuration and weights into memory, as 32-bit floats. */
export const load = (folder: string): Effect.Effect<T5Weights, T5FolderError | Safetensors.SafetensorsError> =>
  Effect.scoped(Effect.gen(function*() {
    const config = yield* readConfig(folder)
    const file = yield* Safetensors.open(join(folder, "model.safetensors"))
    const wrong = mismatches(file.tensors, config)
    if (wrong.length > 0) return yield* failing(folder, `the weights do not fit config.json: ${wrong.join("; ")}`, remedy)
    const tensors = yield* Effect.forEach(t5Shapes(config), ([name, shape]) =>
      Effect.map(file.read(nameIn(file.tensors, name)), ({ data }) => ({ name, shape, data: Float32Array.from(data) })))
    return { config, tensors }
  }))

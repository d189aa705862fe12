/**
 * The tensors of a folder in the hub's usual layout: one safetensors file, several with an index, or PyTorch's own file.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { existsSync } from "node:fs"
import { basename, join } from "node:path"
import type { ForeignTensor, ForeignWeights } from "./ForeignWeights.ts"
import * as Safetensors from "./Safetensors.ts"
import { parseJson, readSmallText } from "./smallText.ts"
import { failing, type T5FolderError } from "./T5FolderError.ts"
import { TorchTensor } from "./torch/pickleValues.ts"
import * as TorchFile from "./torch/TorchFile.ts"
import type { TorchFileError } from "./torch/TorchFileError.ts"

/** Why tensors cannot be read. */
export type TensorsError = T5FolderError | Safetensors.SafetensorsError | TorchFileError

/** The names under which a folder may hold weights, in the order in which they are looked for. */
export const weightFiles = { single: "model.safetensors", index: "model.safetensors.index.json", torch: "pytorch_model.bin" } as const

/** Tensors that may be integers or bytes: only floats are weights. */
const floats = (folder: string, name: string, data: Safetensors.Tensor["data"]): Effect.Effect<Float32Array, T5FolderError> =>
  data instanceof Float32Array ? Effect.succeed(data) : Effect.fail(failing(folder, `${name} holds no floats`, "Convert the weights to F32, F16 or BF16"))

const fromSafetensors = (folder: string, file: string): Effect.Effect<ForeignWeights<TensorsError>, TensorsError, Scope.Scope> =>
  Effect.map(Safetensors.open(join(folder, file)), ({ read, tensors }) =>
    new Map(Array.from(tensors, ([name, { shape }]): readonly [string, ForeignTensor<TensorsError>] => [name, {
      shape,
      read: Effect.flatMap(read(name), ({ data }) => floats(folder, name, data))
    }])))

const shardsOf = (text: string): ReadonlyMap<string, string> => {
  const { weight_map } = parseJson(text) as { readonly weight_map?: unknown }
  if (typeof weight_map !== "object" || weight_map === null) throw new Error("it has no weight_map")
  const shards = new Map(Object.entries(weight_map))
  for (const file of shards.values()) {
    if (typeof file !== "string" || file !== basename(file) || file.includes("\\") || !file.endsWith(".safetensors")) throw new Error(`${JSON.stringify(file)} is no safetensors file of the folder`)
  }
  return shards
}

/** Which file holds which tensor. */
export const readIndex = (folder: string): Effect.Effect<ReadonlyMap<string, string>, T5FolderError> =>
  Effect.tryPromise({
    try: async () => shardsOf(await readSmallText(join(folder, weightFiles.index))),
    catch: (cause) => failing(folder, `${weightFiles.index} cannot be read (${cause instanceof Error ? cause.message : String(cause)})`, "Fetch or write the folder again")
  })

const fromShards = (folder: string): Effect.Effect<ForeignWeights<TensorsError>, TensorsError, Scope.Scope> =>
  Effect.gen(function*() {
    const index = yield* readIndex(folder)
    const files = new Map<string, ForeignWeights<TensorsError>>()
    for (const file of new Set(index.values())) files.set(file, yield* fromSafetensors(folder, file))
    const weights = new Map<string, ForeignTensor<TensorsError>>()
    for (const [name, file] of index) {
      const tensor = files.get(file)!.get(name)
      if (tensor === undefined) return yield* failing(folder, `${file} lacks ${name}, which the index says it holds`, "Fetch or write the folder again")
      weights.set(name, tensor)
    }
    return weights
  })

/** A `state_dict`; its entries may share memory, as T5's embeddings do. */
const fromTorch = (folder: string): Effect.Effect<ForeignWeights<TensorsError>, TensorsError, Scope.Scope> =>
  Effect.gen(function*() {
    const file = yield* TorchFile.open(join(folder, weightFiles.torch))
    if (!(file.value instanceof Map)) return yield* failing(folder, `${weightFiles.torch} is no dict of weights`, "Save the model with save_pretrained")
    const weights = new Map<string, ForeignTensor<TensorsError>>()
    for (const [name, value] of file.value) {
      if (typeof name !== "string" || !(value instanceof TorchTensor)) continue
      weights.set(name, { shape: value.shape, read: Effect.flatMap(file.read(value, name), ({ data }) => floats(folder, name, data)) })
    }
    return weights
  })

/** How to make the file that is missing, from any format that `transformers` reads. */
export const howToConvert = (source: string): string =>
  `Write ${weightFiles.single} with Python: from transformers import T5EncoderModel; T5EncoderModel.from_pretrained(${JSON.stringify(source)}).save_pretrained("encoder") (from_flax=True or from_tf=True where the weights are those), and give that folder as encoder.path`

/** The tensors of a folder by name; they are read one by one, while the scope is open. */
export const openTensors = (folder: string): Effect.Effect<ForeignWeights<TensorsError>, TensorsError, Scope.Scope> =>
  Effect.suspend((): Effect.Effect<ForeignWeights<TensorsError>, TensorsError, Scope.Scope> => {
    const has = (file: string) => existsSync(join(folder, file))
    if (has(weightFiles.single)) return fromSafetensors(folder, weightFiles.single)
    if (has(weightFiles.index)) return fromShards(folder)
    if (has(weightFiles.torch)) return fromTorch(folder)
    return Effect.fail(failing(folder, `it has no ${weightFiles.single}`, howToConvert(folder)))
  })

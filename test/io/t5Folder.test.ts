/** Folders with T5 encoders in every form that is read, and those that are refused. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { cp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Safetensors, T5Folder } from "../../src/io/index.ts"
import type { T5Weights } from "../../src/model/Encoder.ts"
import { encoderFolder } from "../support/encoders.ts"
import { relativeError } from "../support/tolerances.ts"
import { temporaryFolder } from "../support/temporary.ts"

/** A copy of an encoder's folder, changed. */
const changed = (name: string, change: (folder: string) => Promise<unknown>) =>
  Effect.gen(function*() {
    const folder = join(yield* temporaryFolder, "encoder")
    yield* Effect.promise(() => cp(encoderFolder(name), folder, { recursive: true }).then(() => change(folder)))
    return folder
  })

const withConfig = (keys: Record<string, unknown>) => async (folder: string) => {
  const path = join(folder, "config.json")
  await writeFile(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...keys }))
}

type Tensors = ReadonlyMap<string, Safetensors.Tensor>

/** A copy of t5-v1.0 with other tensors. */
const withTensors = (change: (tensors: Map<string, Safetensors.Tensor>) => void, dtype: "F32" | "F16" = "F32") =>
  Effect.gen(function*() {
    const folder = yield* changed("t5-v1.0", async () => {})
    const file = join(folder, "model.safetensors")
    const tensors = new Map<string, Safetensors.Tensor>(yield* Safetensors.readAll(file) as Effect.Effect<Tensors, Safetensors.SafetensorsError>)
    change(tensors)
    yield* Safetensors.write(file, Array.from(tensors, ([name, { data, shape }]) => ({ name, shape, data, dtype })))
    return folder
  })

const assertSame = (a: T5Weights, b: T5Weights, tolerance = 0) => {
  assert.deepStrictEqual(a.tensors.map(({ name }) => name), b.tensors.map(({ name }) => name))
  a.tensors.forEach(({ data, name }, i) => assert.isAtMost(relativeError(data, b.tensors[i]!.data), tolerance, name))
}

const refused = (folder: string) => Effect.flip(T5Folder.load(folder))

describe("the same weights", () => {
  it.effect("from shards and from PyTorch's file", () =>
    Effect.gen(function*() {
      assertSame(yield* T5Folder.load(encoderFolder("t5-v1.1-bin")), yield* T5Folder.load(encoderFolder("t5-v1.1")))
    }))

  it.effect("with the embedding under the encoder's name for it", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* withTensors((tensors) => {
        tensors.set("encoder.embed_tokens.weight", tensors.get("shared.weight")!)
        tensors.delete("shared.weight")
      })
      assertSame(yield* T5Folder.load(folder), yield* T5Folder.load(encoderFolder("t5-v1.0")))
    })))

  it.effect("without the decoder that the fixture has", () =>
    Effect.scoped(Effect.gen(function*() {
      let decoders = 0
      const folder = yield* withTensors((tensors) => {
        for (const name of [...tensors.keys()].filter((name) => name.startsWith("decoder."))) decoders += Number(tensors.delete(name))
      })
      assert.isAbove(decoders, 5)
      assertSame(yield* T5Folder.load(folder), yield* T5Folder.load(encoderFolder("t5-v1.0")))
    })))

  it.effect("in half precision, as near as that is", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* withTensors(() => {}, "F16")
      assertSame(yield* T5Folder.load(folder), yield* T5Folder.load(encoderFolder("t5-v1.0")), 2 ** -11)
      assertSame(yield* T5Folder.load(encoderFolder("t5-v1.1-bf16")), yield* T5Folder.load(encoderFolder("t5-v1.1")), 2 ** -8)
    })))
})

describe("refused", () => {
  const cases: ReadonlyArray<readonly [string, ReturnType<typeof changed> | ReturnType<typeof withTensors>, RegExp]> = [
    ["no weights: how to make them", changed("t5-v1.0", (folder) => rm(join(folder, "model.safetensors"))), /has no model\.safetensors\. Write model\.safetensors with Python: from transformers import T5EncoderModel; .*encoder\.path/],
    ["no configuration", changed("t5-v1.0", (folder) => rm(join(folder, "config.json"))), /config\.json cannot be read/],
    ["another kind of model", changed("t5-v1.0", withConfig({ model_type: "umt5" })), /not a T5 configuration .*model_type/],
    ["another epsilon", changed("t5-v1.0", withConfig({ layer_norm_epsilon: 1e-5 })), /not a T5 configuration .*layer_norm_epsilon/],
    ["another activation", changed("t5-v1.0", withConfig({ feed_forward_proj: "gated-silu" })), /not a T5 configuration .*feed_forward_proj/],
    ["fewer layers than the file has", changed("t5-v1.0", withConfig({ num_layers: 2 })), /encoder\.block\.2\.layer\.0\.SelfAttention\.\w\.weight has no place in it/],
    ["other sizes", changed("t5-v1.0", withConfig({ d_ff: 50 })), /wi\.weight is \[48, 24\] instead of \[50, 24\]/],
    ["a bias in each layer", withTensors((tensors) => {
      const bias = "layer.0.SelfAttention.relative_attention_bias.weight"
      tensors.set(`encoder.block.1.${bias}`, tensors.get(`encoder.block.0.${bias}`)!)
    }), /encoder\.block\.1\.layer\.0\.SelfAttention\.relative_attention_bias\.weight has no place/],
    ["a layer without its norm", withTensors((tensors) => void tensors.delete("encoder.block.1.layer.0.layer_norm.weight")), /encoder\.block\.1\.layer\.0\.layer_norm\.weight is missing/],
    ["an index that leads out of the folder", changed("t5-v1.1", (folder) => writeFile(join(folder, "model.safetensors.index.json"), "{\"weight_map\":{\"shared.weight\":\"../x.safetensors\"}}")), /"\.\.\/x\.safetensors" is no safetensors file of the folder/],
    ["an index that is none", changed("t5-v1.1", (folder) => writeFile(join(folder, "model.safetensors.index.json"), "{}")), /index\.json cannot be read \(it has no weight_map\)/],
    ["a shard that lacks what the index promises", changed("t5-v1.1", (folder) => cp(join(folder, "model-00001-of-00003.safetensors"), join(folder, "model-00002-of-00003.safetensors"))), /model-00002-of-00003\.safetensors lacks .* which the index says it holds/]
  ]
  it.effect.each(cases)("%s", ([, make, words]) =>
    Effect.scoped(Effect.gen(function*() {
      const error = yield* refused(yield* make)
      assert.match(error.message.replaceAll("\n", " "), words)
    })))

  it.effect("a shard that is not there", () =>
    Effect.scoped(Effect.gen(function*() {
      const error = yield* refused(yield* changed("t5-v1.1", (folder) => rm(join(folder, "model-00003-of-00003.safetensors"))))
      assert.deepInclude(error, { _tag: "SafetensorsError", reason: "disk" })
    })))
})

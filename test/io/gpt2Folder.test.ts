/** Folders with a GPT-2: the names that files use, and those that are refused. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { readFileSync } from "node:fs"
import { cp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Gpt2Folder, Safetensors } from "../../src/io/index.ts"
import { temporaryFolder } from "../support/temporary.ts"

const fixture = join(import.meta.dirname, "..", "fixtures", "gpt2")

/** A copy of the fixture, changed. */
const changed = (change: (folder: string) => Promise<unknown>) =>
  Effect.gen(function*() {
    const folder = join(yield* temporaryFolder, "gpt2")
    yield* Effect.promise(() => cp(fixture, folder, { recursive: true }).then(() => change(folder)))
    return folder
  })

const withConfig = (keys: Record<string, unknown>) => changed(async (folder) => {
  const path = join(folder, "config.json")
  await writeFile(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...keys }))
})

type Tensors = ReadonlyMap<string, Pick<Safetensors.TensorToWrite, "data" | "shape">>

const withTensors = (change: (tensors: Tensors) => Tensors) =>
  Effect.gen(function*() {
    const folder = yield* changed(async () => {})
    const file = join(folder, "model.safetensors")
    const tensors = change(yield* Safetensors.readAll(file) as Effect.Effect<Tensors, Safetensors.SafetensorsError>)
    yield* Safetensors.write(file, Array.from(tensors, ([name, { data, shape }]) => ({ name, shape, data })))
    return folder
  })

const refused = (folder: Effect.Effect<string, never, Scope.Scope>, detail: RegExp) =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(Gpt2Folder.load(yield* folder))
    assert.strictEqual(error._tag, "Gpt2FolderError")
    assert.match(error.message, detail)
  })

describe("a folder with a GPT-2", () => {
  it.effect("holds it under the names of either class of transformers, beside masks and a tied head", () =>
    Effect.gen(function*() {
      const usual = yield* Gpt2Folder.load(fixture)
      const short = yield* withTensors((tensors) => new Map<string, Pick<Safetensors.TensorToWrite, "data" | "shape">>([
        ...Array.from(tensors, ([name, tensor]) => [name.replace("transformer.", ""), tensor] as const),
        ["h.0.attn.bias", { shape: [1, 1, 2, 2], data: new Float32Array(4) }],
        ["lm_head.weight", tensors.get("transformer.wte.weight")!]
      ]))
      assert.deepStrictEqual(yield* Gpt2Folder.load(short), usual)
      assert.strictEqual(usual.config.n_inner, 96)
    }))

  it.effect("is refused where it computes something else, or its weights do not fit", () =>
    Effect.gen(function*() {
      yield* refused(withConfig({ model_type: "llama" }), /config\.json is not that of a GPT-2/)
      yield* refused(withConfig({ activation_function: "relu" }), /activation_function/)
      yield* refused(withConfig({ n_head: 5 }), /24 is not divisible into 5 heads/)
      yield* refused(withConfig({ n_layer: 1 }), /h\.1\.\S+ has no place in it/)
      yield* refused(withConfig({ n_layer: 3 }), /h\.2\.ln_1\.weight is missing/)
      yield* refused(withConfig({ n_positions: 31 }), /wpe\.weight is \[32, 24\] instead of \[31, 24\]/)
      yield* refused(changed((folder) => rm(join(folder, "model.safetensors"))), /it has no model\.safetensors/)
      yield* refused(changed((folder) => rm(join(folder, "config.json"))), /config\.json cannot be read/)
    }))
})

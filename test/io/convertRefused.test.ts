/** What conversion refuses: incomplete networks, other networks, other formats, and outputs that would destroy something. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Safetensors } from "../../src/io/index.ts"
import { TorchFileError } from "../../src/io/torch/TorchFileError.ts"
import { convert, type ConvertRequest } from "../../src/run/convert.ts"
import { ConvertError } from "../../src/run/ConvertError.ts"
import { ckptPath, writeRun } from "./ckptCases.ts"
import { inFolder } from "./support.ts"
import { archive, call, dictOf, op, pickle } from "./torchFiles.ts"

const reasonOf = (error: { readonly _tag: string }) => error instanceof ConvertError ? error.reason : error._tag

const refused = (request: ConvertRequest) => Effect.flip(convert(request))

/** The tensors of the PyTorch checkpoint, changed and written as safetensors. */
const changed = (folder: string, change: (tensors: Map<string, Safetensors.TensorToWrite>) => void) =>
  Effect.gen(function*() {
    const [whole, path] = [join(folder, "whole.safetensors"), join(folder, "changed.safetensors")]
    yield* convert({ input: ckptPath("ckpt_torch"), output: whole, to: "torch" })
    const tensors = new Map(Array.from(yield* Safetensors.readAll(whole), ([name, { data, shape }]): [string, Safetensors.TensorToWrite] => [name, { name, shape, data }]))
    change(tensors)
    yield* Safetensors.write(path, tensors.values())
    return path
  })

describe("what is refused", () => {
  it.effect("missing, extra and mis-shaped parameters are listed, and nothing is written", () =>
    inFolder((folder) => Effect.gen(function*() {
      const input = yield* changed(folder, (tensors) => {
        tensors.delete("blocks.1.mlp.w3.weight")
        tensors.delete("text_proj.proj2.bias")
        tensors.set("lm_head.weight", { name: "lm_head.weight", shape: [2, 2], data: new Float32Array(4) })
        tensors.set("proj_bias", { name: "proj_bias", shape: [4, 4], data: new Float32Array(16) })
      })
      for (const to of ["elf", "torch"] as const) {
        const output = join(folder, `out-${to}`)
        const error = yield* refused({ input, output, to, config: writeRun(folder) })
        assert.instanceOf(error, ConvertError)
        for (const text of ["2 missing", "blocks.1.mlp.w3.weight [48, 128]", "text_proj.proj2.bias [48]", "1 not expected: lm_head.weight [2, 2]", "proj_bias is [4, 4] instead of [16]"]) assert.include(error.message, text)
        assert.strictEqual((error as ConvertError).mismatches!.length, 4)
        assert.isFalse(existsSync(output))
      }
    })))

  it.effect("a whole block that is missing, and one too many", () =>
    inFolder((folder) => Effect.gen(function*() {
      const input = yield* changed(folder, (tensors) => {
        for (const name of [...tensors.keys()].filter((name) => name.startsWith("blocks.0."))) {
          const { data, shape } = tensors.get(name)!
          const other = name.replace("blocks.0.", "blocks.99999999999.")
          tensors.set(other, { name: other, shape, data })
        }
      })
      assert.match((yield* refused({ input, output: join(folder, "out"), to: "torch" })).message, /not expected: blocks\.99999999999\.|blocks\.2\..*missing|missing: blocks\.2\./)
      const none = yield* changed(folder, (tensors) => [...tensors.keys()].filter((name) => name.startsWith("blocks.")).forEach((name) => tensors.delete(name)))
      assert.match((yield* refused({ input: none, output: join(folder, "out"), to: "torch" })).message, /q_norm\.weight.* missing/)
    })))

  it.effect("a checkpoint without configuration, and the configuration of another network", () =>
    inFolder((folder) => Effect.gen(function*() {
      const input = ckptPath("ckpt_torch")
      assert.match((yield* refused({ input, output: join(folder, "out") })).message, /give a run file with --config\.$/)
      const error = yield* refused({ input, output: join(folder, "out"), config: writeRun(folder, { heads: 2, vocabulary: 32_100 }) })
      assert.match(error.message, /model\.heads is 2 in the configuration and 4 in the tensors; model\.vocabulary is 32100 in the configuration and 61/)
      assert.isFalse(existsSync(join(folder, "out")))
    })))

  it.effect("an orbax folder, with the command that converts it", () =>
    inFolder((folder) => Effect.gen(function*() {
      const input = join(folder, "it's", "checkpoint_3")
      mkdirSync(input, { recursive: true })
      writeFileSync(join(input, "manifest.ocdbt"), "")
      const error = yield* refused({ input, output: join(folder, "out"), config: writeRun(folder) })
      assert.strictEqual(reasonOf(error), "orbax")
      assert.include(error.message, "python -c \"import sys; from flax import serialization; from utils.checkpoint_utils import _restore_checkpoint;")
      assert.include(error.message, `it'\\''s/checkpoint_3.msgpack'`)
      // Also where it is the latest of a folder.
      assert.strictEqual(reasonOf(yield* refused({ input: join(folder, "it's"), output: join(folder, "out") })), "orbax")
    })))

  it.effect("what is no checkpoint, by content and whatever its name", () =>
    inFolder((folder) => Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [string, Buffer, RegExp]> = [
        ["text.pt", Buffer.from("hello"), /this is no checkpoint/],
        ["empty.safetensors", Buffer.alloc(0), /this is no checkpoint/],
        ["old.pt", Buffer.of(0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46), /before version 1\.6/],
        ["bare.pkl", pickle(call("os", "system", op.text("id"))), /bare pickle/],
        ["hostile.pt", archive(pickle(dictOf({ params: call("os", "system", op.text("id")) }))), /os\.system/]
      ]
      for (const [name, bytes, message] of cases) {
        writeFileSync(join(folder, name), bytes)
        const error = yield* refused({ input: join(folder, name), output: join(folder, "out") })
        assert.match(error.message, message)
        if (name === "hostile.pt") assert.instanceOf(error, TorchFileError)
      }
      assert.match((yield* refused({ input: join(folder, "nowhere"), output: join(folder, "out") })).message, /nowhere \(ENOENT\)/)
      mkdirSync(join(folder, "empty"))
      assert.match((yield* refused({ input: join(folder, "empty"), output: join(folder, "out") })).message, /holds no checkpoint/)
    })))

  it.effect("outputs that would destroy something else", () =>
    inFolder((folder) => Effect.gen(function*() {
      const input = join(folder, "checkpoint_3")
      copyFileSync(ckptPath("ckpt_torch"), input)
      const config = writeRun(folder)
      mkdirSync(join(folder, "photos"))
      writeFileSync(join(folder, "photos", "one.jpg"), "x")
      for (const [output, to] of [[input, "elf"], [input, "torch"], [join(folder, "photos"), "elf"], [join(folder, "photos"), "torch"], [config, "torch"], [config, "elf"]] as const) {
        assert.strictEqual(reasonOf(yield* refused({ input, output, to, config })), "output")
      }
      assert.strictEqual(readFileSync(join(folder, "photos", "one.jpg"), "utf8"), "x")
      // What is a checkpoint, or empty, is replaced.
      mkdirSync(join(folder, "empty"))
      for (const output of ["empty", "empty"]) yield* convert({ input, output: join(folder, output), config })
      for (const output of ["t.safetensors", "t.safetensors"]) yield* convert({ input, output: join(folder, output), to: "torch" })
    })))
})

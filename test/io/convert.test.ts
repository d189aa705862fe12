/** Conversion between the reference's checkpoints and ours: nothing lost, nothing invented, networks that compute the same. */
import * as tf from "@tensorflow/tfjs-core"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer, vi } from "@effect/vitest"
import { Effect } from "effect"
import { Command } from "effect/cli"
import { createHash } from "node:crypto"
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { convertCommand } from "../../src/cli/convertCommand.ts"
import { Checkpoint, Safetensors } from "../../src/io/index.ts"
import { Backend } from "../../src/model/Backend.ts"
import { decoderHead, logits, predictionHead, trunk } from "../../src/model/Elf.ts"
import { parameterCount, parameterShapes, presets } from "../../src/model/ModelConfig.ts"
import { Network } from "../../src/model/Network.ts"
import { convert } from "../../src/run/convert.ts"
import { sizesOf } from "../../src/run/networkSizes.ts"
import * as Pretrained from "../../src/run/Pretrained.ts"
import { readTrainSnapshot } from "../../src/run/runCheckpoint.ts"
import { testEngine } from "../support/backend.ts"
import { fixture } from "../support/fixtures.ts"
import { assertNear } from "../support/tolerances.ts"
import { ckptCase, ckptPath, writeRun } from "./ckptCases.ts"
import { inFolder } from "./support.ts"

const sha256 = (values: ArrayBufferView) => createHash("sha256").update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).digest("hex")

const digestsOf = (tensors: ReadonlyMap<string, Safetensors.Tensor>) =>
  Object.fromEntries(Array.from(tensors, ([name, { data, shape }]) => [name, { shape, sha256: sha256(data) }]))

const expectedDigests = (name: string, section: string) => {
  const own = Object.entries(ckptCase(name).scalars.tensor_digests).filter(([key]) => key.startsWith(`${section}.`))
  assert.strictEqual(own.length, 47)
  return Object.fromEntries(own.map(([key, { sha256, shape }]) => [key.slice(section.length + 1), { shape, sha256 }]))
}

const elements = (digests: Readonly<Record<string, { readonly shape: ReadonlyArray<number> }>>): number =>
  Object.values(digests).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)

describe("into our format", () => {
  it.effect("the PyTorch checkpoint: weights, average and momentum, ready to train on", () =>
    inFolder((folder) => Effect.gen(function*() {
      const output = join(folder, "converted")
      const converted = yield* convert({ input: ckptPath("ckpt_torch"), output, config: writeRun(folder) })
      assert.deepStrictEqual({ ...converted, bytes: 0 }, {
        input: ckptPath("ckpt_torch"), format: "torch", output, step: 3, bytes: 0, notes: [], sections: ["model", "ema", "optimizer"],
        sizes: { hidden: 48, depth: 2, heads: 4, textWidth: 16, bottleneck: 8, timeTokens: 4, selfConditionScaleTokens: 4, modeTokens: 4, vocabulary: 61, feedForwardRatio: 4 },
        parameters: elements(expectedDigests("ckpt_torch_expected", "params"))
      })
      const checkpoint = yield* Checkpoint.read(output)
      assert.deepStrictEqual(digestsOf(yield* checkpoint.section("model")), expectedDigests("ckpt_torch_expected", "params"))
      assert.deepStrictEqual(digestsOf(yield* checkpoint.section("ema")), expectedDigests("ckpt_torch_expected", "ema_params1"))
      const { run } = yield* Pretrained.open(output)
      assert.strictEqual(run.encoder.path, resolve(folder, "encoder"))
      const { snapshot } = yield* readTrainSnapshot(checkpoint, run)
      assert.deepStrictEqual([snapshot.step, snapshot.updates, snapshot.moments.length], [3, 3, 76])
      const momentum = snapshot.moments.find(({ name }) => name === "momentum/proj_kernel")!
      assert.deepStrictEqual(momentum.data, fixture("ckpt_torch_expected").floats("opt.state0.momentum_buffer"))
    })))

  it.effect("the older JAX checkpoint, which has one set of weights", () =>
    inFolder((folder) => Effect.gen(function*() {
      const output = join(folder, "converted")
      const { notes, sections } = yield* convert({ input: ckptPath("ckpt_jax_msgpack"), output, config: writeRun(folder) })
      assert.deepStrictEqual(sections, ["model"])
      assert.match(notes.join(), /no moving average/)
      assert.deepStrictEqual(digestsOf(yield* (yield* Checkpoint.read(output)).section("model")), expectedDigests("ckpt_jax_expected", "params"))
      const error = yield* Effect.flip(convert({ input: ckptPath("ckpt_jax_msgpack"), output: join(folder, "other"), config: writeRun(folder), weights: "ema" }))
      assert.match(error.message, /holds no moving average/)
    })))

  it.effect("only the average, only the weights as trained", () =>
    inFolder((folder) => Effect.gen(function*() {
      for (const [weights, section] of [["ema", "ema_params1"], ["model", "params"]] as const) {
        const output = join(folder, weights)
        const { sections } = yield* convert({ input: ckptPath("ckpt_torch"), output, config: writeRun(folder), weights })
        assert.deepStrictEqual(sections, ["model"])
        assert.deepStrictEqual(digestsOf(yield* (yield* Checkpoint.read(output)).section("model")), expectedDigests("ckpt_torch_expected", section))
      }
    })))

  it.effect("an optimiser of another kind is left out, and said so", () =>
    inFolder((folder) => Effect.gen(function*() {
      const converted = yield* convert({ input: ckptPath("ckpt_torch"), output: join(folder, "out"), config: writeRun(folder, {}, { kind: "adamw" }) })
      assert.deepStrictEqual(converted.sections, ["model", "ema"])
      assert.match(converted.notes.join(), /optimiser's state is left out: it is that of muon, the configuration says adamw/)
    })))

  it.effect("a folder of the reference's checkpoints stands for the latest", () =>
    inFolder((folder) => Effect.gen(function*() {
      mkdirSync(join(folder, "outputs"))
      writeFileSync(join(folder, "outputs", "checkpoint_2"), "an older one")
      copyFileSync(ckptPath("ckpt_torch"), join(folder, "outputs", "checkpoint_10"))
      const { input } = yield* convert({ input: join(folder, "outputs"), output: join(folder, "out"), config: writeRun(folder) })
      assert.strictEqual(input, join(folder, "outputs", "checkpoint_10"))
    })))
})

describe("for PyTorch", () => {
  it.effect("the average by default; ours → PyTorch → ours is the same, bit for bit, and needs no run file twice", () =>
    inFolder((folder) => Effect.gen(function*() {
      const first = join(folder, "first")
      yield* convert({ input: ckptPath("ckpt_torch"), output: first, config: writeRun(folder) })
      for (const [weights, section, name] of [[undefined, "ema", "ema_params1"], ["model", "model", "params"]] as const) {
        const torch = join(folder, `${section}.safetensors`)
        const second = join(folder, `${section}-again`)
        const chosen = weights === undefined ? {} : { weights }
        const there = yield* convert({ input: first, output: torch, to: "torch", ...chosen })
        assert.deepStrictEqual(there.sections, [section])
        const file = yield* Safetensors.readAll(torch)
        assert.isTrue([...file.values()].every(({ dtype }) => dtype === "F32"))
        assert.deepStrictEqual(digestsOf(file), expectedDigests("ckpt_torch_expected", name))
        yield* convert({ input: torch, output: second, ...chosen })
        const [a, b] = [yield* Checkpoint.read(first), yield* Checkpoint.read(second)]
        assert.deepStrictEqual(yield* b.section("model"), yield* a.section(section))
        assert.deepStrictEqual(b.configuration, a.configuration)
        assert.strictEqual(b.step, 3)
      }
    })))

  it.effect("needs no configuration, and keeps the order of a state_dict's names", () =>
    inFolder((folder) => Effect.gen(function*() {
      const output = join(folder, "weights.safetensors")
      const converted = yield* convert({ input: ckptPath("ckpt_jax_orbax_msgpack"), output, to: "torch" })
      assert.deepStrictEqual(converted.sections, ["ema"])
      const { metadata, tensors } = yield* Effect.scoped(Safetensors.open(output))
      assert.strictEqual(metadata["format"], "pt")
      assert.deepStrictEqual([...tensors.keys()], [...parameterShapes({ ...converted.sizes, length: 1 }).keys()])
      assert.deepStrictEqual(digestsOf(yield* Safetensors.readAll(output)), expectedDigests("ckpt_jax_expected", "ema_params1"))
    })))

  it.effect("all sections of ours travel on", () =>
    inFolder((folder) => Effect.gen(function*() {
      const [first, second] = [join(folder, "first"), join(folder, "second")]
      yield* convert({ input: ckptPath("ckpt_torch"), output: first, config: writeRun(folder) })
      yield* convert({ input: first, output: second })
      const [a, b] = [yield* Checkpoint.read(first), yield* Checkpoint.read(second)]
      assert.deepStrictEqual(b.sections, a.sections)
      for (const section of a.sections) assert.deepStrictEqual(yield* b.section(section), yield* a.section(section))
      assert.strictEqual(b.metadata["updates"], 3)
    })))
})

describe("sizes", () => {
  it.effect.each(Object.entries(presets))("%s is recognised by its shapes", ([, config]) =>
    Effect.gen(function*() {
      const shapes = new Map(Array.from(parameterShapes(config), ([name, shape]) => [name, { shape }]))
      const sizes = yield* sizesOf(shapes, "it")
      assert.deepStrictEqual({ ...sizes, length: config.length }, { ...config })
      assert.strictEqual(parameterCount({ ...sizes, length: 1 }), parameterCount(config))
    }))

  it.effect("other widths of the feed-forward layers, and networks without tokens", () =>
    Effect.gen(function*() {
      for (const feedForwardRatio of [1.5, 2, 8 / 3, 3.7]) {
        const config = { ...presets["ELF-B"], hidden: 48, heads: 4, depth: 1, timeTokens: 1, selfConditionScaleTokens: 0, modeTokens: 2, feedForwardRatio }
        const wanted = parameterShapes(config)
        const sizes = yield* sizesOf(new Map(Array.from(wanted, ([name, shape]) => [name, { shape }])), "it")
        assert.deepStrictEqual(parameterShapes({ ...sizes, length: 1 }), wanted)
      }
    }))
})

layer(testEngine)("the converted network computes what the reference computes", (it) => {
  const cases = [
    ["ckpt_torch", "ckpt_torch_expected", "model", "params"],
    ["ckpt_torch", "ckpt_torch_expected", undefined, "ema"],
    ["ckpt_jax_msgpack", "ckpt_jax_expected", undefined, "params"],
    ["ckpt_jax_orbax_msgpack", "ckpt_jax_expected", "ema", "ema_params1"]
  ] as const
  it.effect.each(cases)("%s %s %s: %s", ([input, expected, weights, outputs]) =>
    inFolder((folder) => Effect.gen(function*() {
      const output = join(folder, "out")
      yield* convert({ input: ckptPath(input), output, config: writeRun(folder), ...(weights === undefined ? {} : { weights }) })
      const recorded = fixture(expected)
      const { network } = yield* Pretrained.open(output)
      yield* Effect.gen(function*() {
        const backend = yield* Backend
        const { elf } = yield* Network
        const found = yield* backend.kernel("forward", () => {
          const [z, selfCondition] = tf.split(recorded.tensor<tf.Tensor3D>("x"), 2, 2) as [tf.Tensor3D, tf.Tensor3D]
          // The recorded pass is one in decoder mode.
          const stream = trunk(elf, { z, selfCondition, decoderGate: tf.ones([z.shape[0]]), t: recorded.tensor("t"), selfConditionScale: recorded.tensor("self_cond_cfg_scale") })
          return { out: predictionHead(elf, stream).dataSync(), logits: logits(elf, decoderHead(elf, stream)).dataSync() }
        })
        assertNear("forward", found.out, recorded.floats(`out_${outputs}`), `${input}: x̂`)
        assertNear("forward", found.logits, recorded.floats(`logits_${outputs}`), `${input}: logits`)
      }).pipe(Effect.provide(network))
    })))
})

describe("the command", () => {
  /** Runs the command with standard output kept. */
  const elf = (...args: ReadonlyArray<string>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => vi.spyOn(process.stdout, "write").mockReturnValue(true)),
      (written) => Effect.as(Command.runWith(convertCommand, { version: "0" })(args), written).pipe(
        Effect.map((written) => written.mock.calls.map(([text]) => String(text)).join("")),
        Effect.provide(NodeServices.layer)
      ),
      (written) => Effect.sync(() => written.mockRestore())
    )

  it.effect("converts with its options, says what it did, and fails with the error's sentence", () =>
    inFolder((folder) => Effect.gen(function*() {
      const [output, torch] = [join(folder, "out"), join(folder, "model.safetensors")]
      const result = JSON.parse(yield* elf(ckptPath("ckpt_torch"), output, "--config", writeRun(folder), "--json")) as { readonly step: number; readonly sections: ReadonlyArray<string> }
      assert.deepStrictEqual([result.step, result.sections], [3, ["model", "ema", "optimizer"]])
      const said = yield* elf(output, torch, "--to", "torch", "--weights", "model")
      assert.match(said, /elf-streams checkpoint, step 3, 90,221 parameters \(2 blocks of width 48, 4 heads\)/)
      assert.include(said, `load_state_dict(safetensors.torch.load_file("${torch}"))`)
      assert.deepStrictEqual(digestsOf(yield* Safetensors.readAll(torch)), expectedDigests("ckpt_torch_expected", "params"))
      assert.match(String(yield* Effect.flip(elf(ckptPath("ckpt_torch"), join(folder, "x")))), /--config/)
    })))
})

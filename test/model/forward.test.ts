/** The network and the encoder against the reference, on the native engine and on WebAssembly. */
import * as tf from "@tensorflow/tfjs-core"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { decoderHead, type Elf, type ElfInput, logits, predictionHead, ropeFor, trunk } from "../../src/model/Elf.ts"
import { upload } from "../../src/model/Parameters.ts"
import { encode, relativeBucket } from "../../src/model/T5Encoder.ts"
import { onEngines } from "../support/backend.ts"
import { casesWith, type Fixture, fixture, fixtureCase } from "../support/fixtures.ts"
import { referenceT5, referenceWeights } from "../support/reference.ts"
import { assertNear } from "../support/tolerances.ts"

const { config, tensors } = referenceWeights("model")

/** The reference joins z and the self-conditioning half along the channels. */
const halves = (x: tf.Tensor3D): Pick<ElfInput, "z" | "selfCondition"> => {
  if (x.shape[2] === config.textWidth) return { z: x }
  const [z, selfCondition] = tf.split(x, 2, 2) as [tf.Tensor3D, tf.Tensor3D]
  return { z, selfCondition }
}

const gate = (recorded: Fixture): Pick<ElfInput, "decoderGate"> => {
  if (recorded.has("decoder_step_active")) return { decoderGate: recorded.tensor("decoder_step_active") }
  const { decoder_step_active: all = false } = fixtureCase<unknown, { readonly decoder_step_active?: boolean }>(recorded.name).scalars
  return all ? { decoderGate: tf.ones([recorded.shape("x")[0]!]) } : {}
}

const inputOf = (recorded: Fixture): ElfInput => ({
  ...halves(recorded.tensor("x")),
  ...gate(recorded),
  ...(recorded.has("attention_mask") ? { attentionMask: recorded.tensor<tf.Tensor2D>("attention_mask") } : {}),
  t: recorded.tensor("t"),
  selfConditionScale: recorded.tensor("self_cond_cfg_scale")
})

const forward = (elf: Elf, input: ElfInput) => {
  const stream = trunk(elf, input)
  return {
    out: predictionHead(elf, stream).dataSync(),
    logits: logits(elf, decoderHead(elf, stream)).dataSync()
  }
}

/** Runs `use` with the reference's network on the device, and leaves nothing there. */
const withElf = <A>(name: string, use: (elf: Elf) => A) =>
  Effect.flatMap(Backend, (backend) => Effect.acquireUseRelease(
    backend.kernel("upload", (): Elf => ({ config, parameters: upload(tensors), rope: ropeFor(config) })),
    (elf) => backend.kernel(name, () => use(elf)),
    ({ parameters, rope }) => Effect.sync(() => tf.dispose([parameters, rope.cos, rope.sin, rope.quarterTurn]))
  ))

await onEngines(["tensorflow", "wasm"], (it) => {
  for (const name of casesWith("fwd_").filter((name) => name !== "fwd_trace")) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const recorded = fixture(name)
        const outputs = yield* withElf(name, (elf) => forward(elf, inputOf(recorded)))
        assertNear("forward", outputs.out, recorded.floats("out"), `${name}: x̂`)
        if (recorded.has("logits")) assertNear("forward", outputs.logits, recorded.floats("logits"), `${name}: logits`)
      }))
  }

  it.effect("fwd_trace: every activation on the way", () =>
    Effect.gen(function*() {
      const recorded = fixture("fwd_trace")
      const seen = new Map<string, Float32Array>()
      const observe = (name: string, activation: tf.Tensor) => void seen.set(name, activation.dataSync() as Float32Array)
      yield* withElf("fwd_trace", (elf) => { trunk(elf, { ...inputOf(fixture("fwd_mixed")), observe }) })
      assert.deepStrictEqual([...seen.keys()].sort(), [...recorded.names].sort())
      for (const name of recorded.names) assertNear("forward", seen.get(name)!, recorded.floats(name), `fwd_trace: ${name}`)
    }))

  it.effect("t5_forward: without a mask, with each kind of mask, and beyond the farthest bucket", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const recorded = fixture("t5_forward")
      const t5 = referenceT5()
      const cases: ReadonlyArray<readonly [output: string, ids: string, mask?: string]> = [
        ["out_nomask", "ids"],
        ["out_mask2d", "ids", "mask2d"],
        ["out_mask3d", "ids", "mask3d"],
        ["out_long", "ids_long"]
      ]
      for (const [output, ids, mask] of cases) {
        const latents = yield* backend.kernel(output, () => {
          const parameters = Object.fromEntries(t5.tensors.map(({ data, name, shape }) => [name, tf.tensor(data, [...shape])]))
          const visible = mask === undefined ? undefined : recorded.tensor<tf.Tensor3D>(mask)
          return encode(parameters, t5.config, recorded.tensor(ids), visible).dataSync()
        })
        assertNear("encoder", latents, recorded.floats(output), `t5_forward: ${output}`)
      }
      const positions = Array.from(recorded.integers("rel_pos"), (distance) => relativeBucket(distance))
      assert.deepStrictEqual(positions, [...recorded.integers("rel_bucket")])
    }))

  it.effect("refuses sequences of another length, and a network's missing scale", () =>
    Effect.gen(function*() {
      const refused = (length: number, scaled: boolean) =>
        Effect.flip(withElf("refused", (elf) => {
          const one = tf.tensor1d([1])
          trunk(elf, { z: tf.zeros([1, length, config.textWidth]), t: one, ...(scaled ? { selfConditionScale: one } : {}) })
        }))
      const short = yield* refused(5, true)
      assert.match(short.message, /sequences have 5 positions, the network has 24/)
      const unscaled = yield* refused(config.length, false)
      assert.match(unscaled.message, /needs a self-conditioning scale/)
    }))

  it.effect("leaves nothing on the device", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const before = yield* backend.live
      yield* withElf("fwd_mixed", (elf) => forward(elf, inputOf(fixture("fwd_mixed"))))
      assert.strictEqual(yield* backend.live, before)
    }))
})

/** Encoders from real ONNX files on the real ONNX Runtime, against PyTorch. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { cp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Encoder, type EncoderRows } from "../../src/model/Encoder.ts"
import * as OnnxEncoder from "../../src/model/OnnxEncoder.ts"
import { loadLibrary } from "../../src/model/OnnxSession.ts"
import { encoderFolder, expectedOutputs, toPairs } from "../support/encoders.ts"
import { temporaryFolder } from "../support/temporary.ts"
import { assertNear } from "../support/tolerances.ts"

const normalization = { mean: 0, standardDeviation: 1 }

const embedWith = (name: string, rows: EncoderRows) =>
  Effect.provide(Effect.flatMap(Encoder, ({ embed }) => embed(rows)), OnnxEncoder.layer({ folder: encoderFolder(name) }, normalization))

/** Latents of the positions that see something. */
const seen = (latents: Float32Array, mask: Float32Array, { length, size }: EncoderRows): ReadonlyArray<number> => {
  const width = latents.length / (size * length)
  return Array.from({ length: size * length }, (_, position) => position)
    .filter((position) => mask.subarray(position * length, (position + 1) * length).includes(1))
    .flatMap((position) => Array.from(latents.subarray(position * width, (position + 1) * width)))
}

describe("BERT, which takes a mask of keys", () => {
  it.effect("without a mask and with one", () =>
    Effect.gen(function*() {
      const expected = yield* expectedOutputs("onnx-bert")
      const rows = expected.ids()
      assertNear("encoder", yield* embedWith("onnx-bert", rows), expected.numbers("plain"), "plain")
      const mask = toPairs(expected.numbers("mask2d"), rows.size, rows.length)
      assertNear("encoder", yield* embedWith("onnx-bert", { ...rows, mask }), expected.numbers("masked2d"), "masked2d")
    }))

  it.effect("conditions whose label is dropped: the numbers of the mask of pairs", () =>
    Effect.gen(function*() {
      const expected = yield* expectedOutputs("onnx-bert")
      const rows = expected.ids()
      const mask = expected.numbers("dropped")
      const latents = yield* embedWith("onnx-bert", { ...rows, mask })
      assertNear("encoder", seen(latents, mask, rows), seen(expected.numbers("masked_dropped"), mask, rows), "dropped")
    }))

  it.effect("conditions by themselves, as in inference: the condition's numbers under the mask of training", () =>
    Effect.gen(function*() {
      const expected = yield* expectedOutputs("onnx-bert")
      const rows = expected.ids()
      const lengths = [4, 0, 3]
      const mask = new Float32Array(rows.size * rows.length ** 2)
      const isCondition = (position: number) => position % rows.length < lengths[Math.floor(position / rows.length)]!
      for (let query = 0; query < rows.size * rows.length; query++) {
        mask.fill(1, query * rows.length, query * rows.length + lengths[Math.floor(query / rows.length)]!)
      }
      const latents = yield* embedWith("onnx-bert", { ...rows, mask })
      const conditions = (numbers: Float32Array) => Array.from(numbers).filter((_, i) => isCondition(Math.floor(i / 24)))
      assertNear("encoder", conditions(latents), conditions(expected.numbers("masked3d")), "conditions")
      assert.isTrue(latents.subarray(rows.length * 24, 2 * rows.length * 24).every((latent) => latent === 0), "a row that sees nothing has no latent")
    }))

  it.effect("a row whose text sees its condition is refused: it says which and why", () =>
    Effect.gen(function*() {
      const expected = yield* expectedOutputs("onnx-bert")
      const error = yield* Effect.flip(embedWith("onnx-bert", { ...expected.ids(), mask: expected.numbers("mask3d") }))
      assert.instanceOf(error, OnnxEncoder.OnnxEncoderError)
      assert.deepInclude(error, { reason: "mask", row: 0 })
      assert.match(error.message, /the row's text sees its condition .* \[batch, query, key\]/)
    }))

  it.effect("rows longer than its table of positions", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(embedWith("onnx-bert", { ids: new Int32Array(49), size: 1, length: 49 }))
      assert.match(error.message, /knows 48 positions.*model\.length to at most 48/)
    }))

  it.effect("ids outside of its vocabulary, and it goes on afterwards", () =>
    Effect.gen(function*() {
      const { embed } = yield* Encoder
      for (const id of [80, -1]) {
        const error = yield* Effect.flip(embed({ ids: Int32Array.of(5, 6, 5, id), size: 2, length: 2 }))
        assert.deepInclude(error, { _tag: "OnnxEncoderError", reason: "run", row: 1 })
        assert.match(error.message, new RegExp(`from 0 to 79, one is ${id}`))
      }
      assert.strictEqual((yield* embed({ ids: Int32Array.of(5, 79), size: 1, length: 2 })).length, 48)
    }).pipe(Effect.provide(OnnxEncoder.layer({ folder: encoderFolder("onnx-bert") }, normalization))))
})

describe("T5 that takes a mask of pairs", () => {
  it.effect("every kind of mask, and beyond the farthest bucket", () =>
    Effect.gen(function*() {
      const expected = yield* expectedOutputs("onnx-t5")
      const rows = expected.ids()
      const masks = { plain: undefined, masked2d: toPairs(expected.numbers("mask2d"), rows.size, rows.length), masked3d: expected.numbers("mask3d") }
      for (const [output, mask] of Object.entries(masks)) assertNear("encoder", yield* embedWith("onnx-t5", { ...rows, mask }), expected.numbers(output), output)
      assertNear("encoder", yield* embedWith("onnx-t5", expected.ids("long")), expected.numbers("plain_long"), "plain_long")
    }))

  it.effect("latents are normalised", () =>
    Effect.gen(function*() {
      const expected = yield* expectedOutputs("onnx-t5")
      const layer = OnnxEncoder.layer({ folder: encoderFolder("onnx-t5") }, { mean: 0.5, standardDeviation: 0.25 })
      const latents = yield* Effect.provide(Effect.flatMap(Encoder, ({ embed }) => embed(expected.ids())), layer)
      assertNear("encoder", latents, expected.numbers("plain").map((state) => (state - 0.5) / 0.25), "normalised")
    }))
})

const refusal = (folder: string, file?: string) =>
  Effect.flip(Effect.provide(Effect.asVoid(Encoder), OnnxEncoder.layer({ folder, ...(file === undefined ? {} : { file }) }, normalization)))

describe("what is no encoder", () => {
  it.effect("a missing file, a broken one, a path out of the folder, a folder without config.json", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "encoder")
      yield* Effect.promise(() => cp(encoderFolder("onnx-bert"), folder, { recursive: true }))
      yield* Effect.promise(() => writeFile(join(folder, "onnx", "broken.onnx"), "this is no model"))
      assert.match((yield* refusal(folder, "onnx/other.onnx")).message, /other\.onnx.*cannot be opened/)
      assert.match((yield* refusal(folder, "onnx/broken.onnx")).message, /broken\.onnx.*cannot be opened/)
      assert.match((yield* refusal(folder, "../onnx/model.onnx")).message, /no \.onnx file of the encoder's folder/)
      yield* Effect.promise(() => rm(join(folder, "config.json")))
      assert.match((yield* refusal(folder)).message, /config\.json cannot be read/)
    })))

  it.effect("a library that is not installed: the command that installs it", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(loadLibrary("encoder/onnx/model.onnx", "@huggingface/transformers-that-is-not-installed"))
      assert.deepInclude(error, { reason: "missingLibrary" })
      assert.match(error.message, /is not installed\. Install it: ONNXRUNTIME_NODE_INSTALL=skip npm install @huggingface\/transformers/)
    }))
})

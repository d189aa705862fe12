/** T5 v1.0 and v1.1 from folders of the usual layout, against PyTorch, on the native engine and on WebAssembly. */
import { Effect } from "effect"
import * as tf from "@tensorflow/tfjs-core"
import { T5Folder } from "../../src/io/index.ts"
import { Backend } from "../../src/model/Backend.ts"
import { Encoder, type EncoderRows } from "../../src/model/Encoder.ts"
import { dispose, upload } from "../../src/model/Parameters.ts"
import { encode } from "../../src/model/T5Encoder.ts"
import { onEngines } from "../support/backend.ts"
import { encoderFolder, expectedOutputs, toPairs } from "../support/encoders.ts"
import { assertNear } from "../support/tolerances.ts"

const embedWith = (name: string, rows: EncoderRows) =>
  Effect.gen(function*() {
    const weights = yield* T5Folder.load(encoderFolder(name))
    return yield* Effect.provide(Effect.flatMap(Encoder, ({ embed }) => embed(rows)), Encoder.layerT5(weights, { mean: 0, standardDeviation: 1 }))
  })

await onEngines(["tensorflow", "wasm"], (it) => {
  for (const name of ["t5-v1.0", "t5-v1.1"]) {
    it.effect(`${name}: without a mask, with masks of keys and of pairs, and beyond the farthest bucket`, () =>
      Effect.gen(function*() {
        const expected = yield* expectedOutputs(name)
        const rows = expected.ids()
        const masks = { plain: undefined, masked2d: toPairs(expected.numbers("mask2d"), rows.size, rows.length), masked3d: expected.numbers("mask3d") }
        for (const [output, mask] of Object.entries(masks)) {
          assertNear("encoder", yield* embedWith(name, { ...rows, mask }), expected.numbers(output), `${name} ${output}`)
        }
        assertNear("encoder", yield* embedWith(name, expected.ids("long")), expected.numbers("plain_long"), `${name} plain_long`)
      }))
  }

  it.effect("a mask of keys is a mask of pairs that all queries share", () =>
    Effect.gen(function*() {
      const { config, tensors } = yield* T5Folder.load(encoderFolder("t5-v1.1"))
      const expected = yield* expectedOutputs("t5-v1.1")
      const { ids, length, size } = expected.ids()
      const backend = yield* Backend
      const latents = yield* backend.kernel("encode", () => {
        const parameters = upload(tensors)
        const found = encode(parameters, config, tf.tensor2d(ids, [size, length], "int32"), tf.tensor2d(expected.numbers("mask2d"), [size, length])).dataSync()
        dispose(parameters)
        return found
      })
      assertNear("encoder", latents, expected.numbers("masked2d"), "mask [B, S]")
    }))
})

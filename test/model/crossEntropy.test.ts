/** Cross-entropy in chunks: the same as in one piece, and as the textbook's formula, on every engine. */
import * as tf from "@tensorflow/tfjs-core"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { keyed } from "../../src/flow/Random.ts"
import { Backend } from "../../src/model/Backend.ts"
import { crossEntropy, mostLikelyTokens, tokenLosses } from "../../src/model/CrossEntropy.ts"
import { valueAndGradients } from "../../src/model/Gradients.ts"
import { onEngines } from "../support/backend.ts"
import { assertNear } from "../support/tolerances.ts"

const [rows, width, vocabulary] = [11, 6, 17]
const source = keyed(8)
const normal = (purpose: string, length: number) => source.normal({ purpose, index: 0 }, length)
const values = { head: normal("head", rows * width), kernel: normal("kernel", width * vocabulary), bias: normal("bias", vocabulary) }
const targets = Int32Array.from({ length: rows }, (_, i) => (5 * i) % vocabulary)
const weights = Float32Array.from({ length: rows }, (_, i) => i === 3 ? 0 : 1 + i / 10)

/** head · kernel + bias at one row and token. */
const logit = (row: number, token: number): number => {
  let sum = values.bias[token]!
  for (let i = 0; i < width; i++) sum += values.head[row * width + i]! * values.kernel[i * vocabulary + token]!
  return sum
}

const logits = Array.from({ length: rows }, (_, row) => Array.from({ length: vocabulary }, (_, token) => logit(row, token)))

/** log Σ exp(logits) − logit of the target. */
const losses = logits.map((row, i) => Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[targets[i]!]!)

const probabilities = logits.map((row) => {
  const total = row.reduce((sum, x) => sum + Math.exp(x), 0)
  return row.map((x) => Math.exp(x) / total)
})

/** ∂Σ weight·loss/∂bias: Σ weight·(probability − 1 at the target). */
const biasGradient = Array.from({ length: vocabulary }, (_, token) =>
  probabilities.map((row, i) => weights[i]! * (row[token]! - Number(targets[i] === token))).reduce((a, b) => a + b))

const upload = () => ({
  head: tf.tensor2d(values.head, [rows, width]),
  kernel: tf.tensor2d(values.kernel, [width, vocabulary]),
  bias: tf.tensor1d(values.bias)
})

await onEngines(["tensorflow", "wasm", "cpu"], (it) => {
  it.effect("value and gradients, whatever the chunk", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const before = yield* backend.live
      const run = (chunk: number) => backend.kernel("crossEntropy", () => {
        const { bias, head, kernel } = upload()
        const scalar = () => crossEntropy(head, { kernel, bias }, tf.tensor1d(targets, "int32"), tf.tensor1d(weights), chunk)
        const { gradients, value } = valueAndGradients({ head, kernel, bias }, scalar)
        return { value, gradients: Object.entries(gradients).map(([name, gradient]) => ({ name, data: gradient.dataSync() })) }
      })
      const whole = yield* run(100)
      assertNear("loss", [whole.value], [losses.reduce((sum, loss, i) => sum + weights[i]! * loss, 0)], "value")
      assertNear("gradient", whole.gradients.find(({ name }) => name === "bias")!.data, biasGradient, "gradient of bias")
      for (const chunk of [1, 4, rows]) {
        const part = yield* run(chunk)
        assertNear("loss", [part.value], [whole.value], `chunk ${chunk}`)
        part.gradients.forEach(({ data, name }, i) =>
          assertNear("gradient", data, whole.gradients[i]!.data, `chunk ${chunk}: gradient of ${name}`))
      }
      assert.strictEqual(yield* backend.live, before)
    }))

  it.effect("losses of tokens and the most likely tokens, whatever the chunk", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const best = logits.map((row) => row.indexOf(Math.max(...row)))
      for (const chunk of [1, 4, 100]) {
        const out = yield* backend.kernel("tokens", () => {
          const { bias, head, kernel } = upload()
          return {
            losses: tokenLosses(head, { kernel, bias }, tf.tensor1d(targets, "int32"), chunk).dataSync(),
            ids: Array.from(mostLikelyTokens(head, { kernel, bias }, chunk).dataSync())
          }
        })
        assertNear("loss", out.losses, losses, `chunk ${chunk}`)
        assert.deepStrictEqual(out.ids, best)
      }
    }))

  it.effect("very large logits do not overflow", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const out = yield* backend.kernel("large", () => {
        const unembedding = { kernel: tf.tensor2d([500, -500], [1, 2]), bias: tf.tensor1d([0, 0]) }
        return tokenLosses(tf.tensor2d([1, -1], [2, 1]), unembedding, tf.tensor1d([0, 0], "int32")).dataSync()
      })
      assert.deepStrictEqual([...out], [0, 1000])
    }))
})

/** The kernels that run forwards alone, and the normals: against their portable forms. */
import * as tf from "@tensorflow/tfjs-core"
import { assert, layer } from "@effect/vitest"
import fc from "fast-check"
import { fillNormals, normals } from "../../src/flow/Normals.ts"
import { keyed } from "../../src/flow/Random.ts"
import { withoutOwnKernels } from "../../src/model/backend/ownKernels.ts"
import { mostLikelyTokens } from "../../src/model/CrossEntropy.ts"
import { type Elf, prefixLength, predict, ropeFor } from "../../src/model/Elf.ts"
import { fusedTrunk } from "../../src/model/FusedTrunk.ts"
import { initialParameters } from "../../src/model/Initialization.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { tensorAlgebra } from "../../src/model/VelocityField.ts"
import { testEngine } from "../support/backend.ts"
import { kernels, lawfulWith, near, normal, rowCounts } from "../support/ownKernels.ts"
import { tiny } from "../support/tinyModel.ts"

/** A network whose weights are all drawn, norms and biases too. It belongs to the scope. */
const networkOf = (config: ModelConfig): Elf => ({
  config,
  parameters: Object.fromEntries(initialParameters(config, keyed(0)).map(({ name, shape }) => [name, normal(name, [...shape], shape.at(-1)! ** -0.5)])),
  rope: ropeFor(config)
})

layer(testEngine)("the kernels that run forwards", (it) => {
  const lawful = lawfulWith(it)

  lawful("run all blocks as they run one by one, each sequence by itself", () =>
    fc.assert(fc.property(fc.constantFrom(1, 2, 5), fc.constantFrom(1, 3), fc.constantFrom(2, 6, 34), fc.constantFrom(1, 13, 40), (batch, heads, size, length) =>
      tf.tidy(() => {
        kernels()
        const elf = networkOf({ ...tiny, hidden: heads * size, heads, length, depth: 2 })
        const input = (rows: number) => ({
          z: tf.slice(normal("z", [batch, length, tiny.textWidth]) as tf.Tensor3D, 0, rows),
          selfCondition: tf.slice(normal("half", [batch, length, tiny.textWidth]) as tf.Tensor3D, 0, rows),
          t: tf.fill([rows], 0.3) as tf.Tensor1D,
          selfConditionScale: tf.fill([rows], 2) as tf.Tensor1D
        })
        const whole = predict(elf, input(batch))
        near(whole, withoutOwnKernels(() => predict(elf, input(batch))), `${batch} × ${length}, ${heads} heads of ${size}`)
        const text = normal("text", [batch * (prefixLength(elf.config) + length), elf.config.hidden]) as tf.Tensor2D
        const alone = fusedTrunk(elf, tf.slice(text, 0, text.shape[0] / batch), 1)!
        assert.deepStrictEqual(alone.dataSync(), tf.slice(fusedTrunk(elf, text, 1)!, 0, 1).dataSync(), "a sequence by itself")
      })), { numRuns: 12 }))

  lawful("leave the blocks to those who record a gradient, a mask or what lies between", () => tf.tidy(() => {
    kernels()
    const elf = networkOf(tiny)
    const x = normal("x", [prefixLength(tiny) + tiny.length, tiny.hidden]) as tf.Tensor2D
    tf.grad((given) => {
      assert.isUndefined(fusedTrunk(elf, given as tf.Tensor2D, 0))
      return tf.square(given)
    })(x)
    assert.isDefined(fusedTrunk(elf, x, 0))
    assert.isUndefined(withoutOwnKernels(() => fusedTrunk(elf, x, 0)))
  }))

  lawful("find the most likely token as argMax does, the first of equal ones", () =>
    fc.assert(fc.property(rowCounts, fc.constantFrom(1, 66, 257), fc.constantFrom(1, 12, 97, 501), (rows, width, vocabulary) => tf.tidy(() => {
      kernels()
      const head = normal("head", [rows, width]) as tf.Tensor2D
      const unembedding = { kernel: normal("kernel", [width, vocabulary]) as tf.Tensor2D, bias: normal("bias", [vocabulary]) as tf.Tensor1D }
      assert.deepStrictEqual(mostLikelyTokens(head, unembedding).dataSync(), withoutOwnKernels(() => mostLikelyTokens(head, unembedding)).dataSync())
      const level = { kernel: tf.zeros([width, vocabulary]) as tf.Tensor2D, bias: tf.tensor1d(Array.from({ length: vocabulary }, (_, id) => Number(id % 7 === 3))) }
      assert.deepStrictEqual(new Set(mostLikelyTokens(head, level).dataSync()), new Set([vocabulary > 3 ? 3 : 0]))
    })), { numRuns: 12 }))

  lawful("find it among many tokens, where bytes are looked at first", () =>
    fc.assert(fc.property(rowCounts, fc.constantFrom(1, 7, 66, 257), fc.constantFrom(1024, 1100, 5001), fc.constantFrom(1, 1e-30, 1e12), (rows, width, vocabulary, scale) => tf.tidy(() => {
      kernels()
      const head = normal("head", [rows, width], scale) as tf.Tensor2D
      const kernel = normal("kernel", [width, vocabulary]) as tf.Tensor2D, bias = normal("bias", [vocabulary], scale) as tf.Tensor1D
      const tokens = mostLikelyTokens(head, { kernel, bias }).dataSync()
      assert.deepStrictEqual(tokens, withoutOwnKernels(() => mostLikelyTokens(head, { kernel, bias })).dataSync())
      const twice = { kernel: tf.concat([kernel, kernel], 1), bias: tf.concat([bias, bias]) }
      assert.deepStrictEqual(mostLikelyTokens(head, twice).dataSync(), tokens, "the first of equal ones")
    })), { numRuns: 12 }))

  lawful("find it where all tokens are alike, and pass over what is no number", () => tf.tidy(() => {
    kernels()
    const [rows, width, vocabulary] = [20, 40, 2000]
    const head = normal("head", [rows, width]) as tf.Tensor2D, bias = tf.zeros([vocabulary]) as tf.Tensor1D
    const level = { kernel: tf.zeros([width, vocabulary]) as tf.Tensor2D, bias }
    assert.deepStrictEqual(new Set(mostLikelyTokens(head, level).dataSync()), new Set([0]))
    assert.deepStrictEqual(new Set(mostLikelyTokens(tf.zerosLike(head), { kernel: normal("kernel", [width, vocabulary]) as tf.Tensor2D, bias }).dataSync()), new Set([0]))
    const kernel = normal("kernel", [width, vocabulary]) as tf.Tensor2D
    const tokens = mostLikelyTokens(head, { kernel, bias }).dataSync()
    const broken = tf.concat([head, tf.fill([1, width], NaN), tf.slice(head, [0, 0], [3, width])]) as tf.Tensor2D
    assert.deepStrictEqual([...mostLikelyTokens(broken, { kernel, bias }).dataSync()], [...tokens, 0, ...tokens.slice(0, 3)])
  }))

  lawful("add what a solver adds, bit for bit", () => tf.tidy(() => {
    kernels()
    const terms = [1, -0.3, 0.7].map((coefficient, i) => [coefficient, normal(`term ${i}`, [3, 700, 5]) as tf.Tensor3D] as const)
    for (const some of [terms, terms.slice(0, 2), terms.slice(1, 2)]) {
      assert.deepStrictEqual(tensorAlgebra.combine(some).dataSync(), withoutOwnKernels(() => tensorAlgebra.combine(some)).dataSync())
    }
  }))

  lawful("draw the normals that JavaScript draws, bit for bit", () => {
    kernels()
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 })
    const key = fc.record({ key0: word, key1: word, indexLow: word, indexHigh: word, step: word })
    fc.assert(fc.property(key, fc.constantFrom(64, 65, 255, 256, 1000, 20_003), (key, length) => {
      const defined = new Float32Array(length)
      fillNormals(defined, key)
      assert.deepStrictEqual(new Uint32Array(normals(key, new Float32Array(length)).buffer), new Uint32Array(defined.buffer))
    }), { numRuns: 30 })
  })
})

/** The kernels that run forwards alone, and the normals: against their portable forms. */
import * as tf from "@tensorflow/tfjs-core"
import { assert, layer } from "@effect/vitest"
import fc from "fast-check"
import { gelu } from "../../src/model/Activations.ts"
import { fillNormals, normals } from "../../src/flow/Normals.ts"
import { keyed } from "../../src/flow/Random.ts"
import { withoutOwnKernels } from "../../src/model/backend/ownKernels.ts"
import { mostLikelyTokens } from "../../src/model/CrossEntropy.ts"
import { type Elf, type ElfInput, prefixLength, predict, ropeFor, trunk } from "../../src/model/Elf.ts"
import { fusedTrunk } from "../../src/model/FusedTrunk.ts"
import { initialParameters } from "../../src/model/Initialization.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { halvesOf } from "../../src/model/TextTokens.ts"
import { velocityLoss, velocityTowards } from "../../src/model/Velocity.ts"
import { tensorAlgebra } from "../../src/model/VelocityField.ts"
import { testEngine } from "../support/backend.ts"
import { kernels, lawfulWith, near, normal, rowCounts, sameBothWays } from "../support/ownKernels.ts"
import { tiny } from "../support/tinyModel.ts"

/** A network whose weights are all drawn, norms and biases too. It belongs to the scope. */
const networkOf = (config: ModelConfig): Elf => ({
  config,
  parameters: Object.fromEntries(initialParameters(config, keyed(0)).map(({ name, shape }) => [name, normal(name, [...shape], shape.at(-1)! ** -0.5)])),
  rope: ropeFor(config)
})

/** Rows `[first, rows)` of a batch whose rows are the same in every batch. */
const inputOf = ({ config: { length, textWidth } }: Elf, rows: number, first = 0): ElfInput => {
  const latents = (purpose: string) => tf.slice(normal(purpose, [rows, length, textWidth]) as tf.Tensor3D, first)
  const scalar = (of: (row: number) => number) => tf.tensor1d(Array.from({ length: rows - first }, (_, row) => of(first + row)))
  return { z: latents("z"), selfCondition: latents("half"), t: scalar((row) => 0.1 + row / 10), selfConditionScale: scalar((row) => 1 + row) }
}

const exit = { norm: "final_layer.norm_final.weight", layer: "final_layer.linear" }

const withoutHalf = ({ selfCondition: _, ...input }: ElfInput): ElfInput => input

layer(testEngine)("the kernels that run forwards", (it) => {
  const lawful = lawfulWith(it)

  lawful("run a network as its layers do one by one, each sequence by itself", () =>
    fc.assert(fc.property(fc.constantFrom(1, 2, 5), fc.constantFrom(1, 3), fc.constantFrom(2, 6, 34), fc.constantFrom(1, 13, 40), fc.constantFrom(5, 16, 70), (batch, heads, size, length, textWidth) =>
      tf.tidy(() => {
        kernels()
        const elf = networkOf({ ...tiny, hidden: heads * size, heads, length, textWidth, depth: 2 })
        const at = `${batch} × ${length} × ${textWidth}, ${heads} heads of ${size}`
        for (const run of [trunk, predict, (elf: Elf, input: ElfInput) => trunk(elf, withoutHalf(input))]) {
          near(run(elf, inputOf(elf, batch)), withoutOwnKernels(() => run(elf, inputOf(elf, batch))), at)
        }
        const control = (first = 0) => () => tf.slice(normal("control", [batch, prefixLength(elf.config), elf.config.hidden]) as tf.Tensor3D, first)
        const alone = fusedTrunk(elf, inputOf(elf, batch, batch - 1), control(batch - 1), exit)!
        assert.deepStrictEqual(alone.dataSync(), tf.slice(fusedTrunk(elf, inputOf(elf, batch), control(), exit)!, batch - 1, 1).dataSync(), `${at}: a sequence by itself`)
        const joined: Elf = { ...elf, halves: halvesOf(elf.parameters) }
        assert.deepStrictEqual(predict(joined, inputOf(elf, batch)).dataSync(), predict(elf, inputOf(elf, batch)).dataSync(), `${at}: projections joined beforehand`)
      })), { numRuns: 15 }))

  lawful("run many sequences at once, as many as threads share and some left over", () => tf.tidy(() => {
    kernels()
    const elf = networkOf({ ...tiny, length: 300 })
    const input = inputOf(elf, 11)
    near(predict(elf, input), withoutOwnKernels(() => predict(elf, input)), "11 × 300")
  }))

  lawful("leave the layers to those who record a gradient, a mask or what lies between", () => tf.tidy(() => {
    kernels()
    const elf = networkOf(tiny)
    const input = inputOf(elf, 1)
    const control = () => tf.zeros([1, prefixLength(tiny), tiny.hidden]) as tf.Tensor3D
    tf.grad((z) => {
      assert.isUndefined(fusedTrunk(elf, { ...input, z: z as tf.Tensor3D }, control))
      return tf.square(z)
    })(input.z)
    assert.isDefined(fusedTrunk(elf, input, control))
    assert.isUndefined(withoutOwnKernels(() => fusedTrunk(elf, input, control)))
    const seen: Array<string> = []
    near(predict(elf, { ...input, observe: (name) => void seen.push(name) }), predict(elf, input), "observed")
    assert.includeMembers(seen, ["text_proj", "blocks.0.input", "blocks.1"])
    near(predict(elf, { ...input, attentionMask: tf.ones([1, tiny.length]) }), predict(elf, input), "masked")
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

  lawful("turn predictions into velocities, and velocities into a loss with its gradient", () =>
    fc.assert(fc.property(rowCounts, fc.constantFrom(1, 40), fc.constantFrom(1, 6, 80), (rows, length, width) => tf.tidy(() => {
      const latents = (purpose: string) => normal(purpose, [rows, length, width]) as tf.Tensor3D
      const t = tf.tensor1d(Array.from({ length: rows }, (_, row) => row / rows))
      const velocity = () => velocityTowards(latents("x"), latents("z"), t, 0.05).dataSync()
      kernels()
      assert.deepStrictEqual(velocity(), withoutOwnKernels(velocity))
      const to = { z: latents("z"), t, target: latents("v"), weights: tf.cast(tf.greater(normal("w", [rows, length]), 0), "float32") as tf.Tensor2D }
      sameBothWays((x) => velocityLoss(x as tf.Tensor3D, to, 0.05), [latents("x")], `loss of ${rows} × ${length} × ${width}`)
    })), { numRuns: 9 }))

  lawful("take gelu as its formula says, and its gradient from the portable form", () => tf.tidy(() => {
    kernels()
    const x = normal("x", [7, 33], 4)
    near(gelu(x), withoutOwnKernels(() => gelu(x)), "gelu")
    sameBothWays((x) => gelu(x!), [x], "gelu")
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

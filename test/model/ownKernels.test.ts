/** The kernels of this library against their portable forms: values, every gradient, and what they must not touch. */
import * as tf from "@tensorflow/tfjs-core"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { selfAttention } from "../../src/model/Attention.ts"
import { Backend } from "../../src/model/Backend.ts"
import { weightedCrossEntropy } from "../../src/model/backend/kernels.ts"
import { ownKernels, withoutOwnKernels } from "../../src/model/backend/ownKernels.ts"
import { initialAverage, updateAverage } from "../../src/model/Ema.ts"
import { newtonSchulzBatch } from "../../src/model/NewtonSchulz.ts"
import { globalNorm, initialState, type OptimizerOptions, step } from "../../src/model/Optimizer.ts"
import { download, upload } from "../../src/model/Parameters.ts"
import { addToStream } from "../../src/model/Residual.ts"
import { rmsNorm } from "../../src/model/RmsNorm.ts"
import { ropeTable } from "../../src/model/Rope.ts"
import { swiGlu } from "../../src/model/SwiGlu.ts"
import { testEngine } from "../support/backend.ts"
import { kernels, lawfulWith, near, normal, rowCounts, sameBothWays, widths } from "../support/ownKernels.ts"

layer(testEngine)("the kernels of this library", (it) => {
  const lawful = lawfulWith(it)

  lawful("are there, and can be turned off", () => {
    kernels()
    assert.isUndefined(withoutOwnKernels(ownKernels))
    assert.throws(() => withoutOwnKernels(() => { throw new Error("stop") }), "stop")
    kernels()
  })

  lawful("normalise, gate and add as the portable forms do", () =>
    fc.assert(fc.property(rowCounts, widths, (rows, width) => {
      const at = `${rows} × ${width}`
      sameBothWays((x, weight) => rmsNorm(x!, weight!), [normal("x", [rows, width]), normal("w", [width])], `rmsNorm ${at}`)
      sameBothWays((x, product, bias) => addToStream(x as tf.Tensor2D, product as tf.Tensor2D, bias!),
        [normal("x", [rows, width]), normal("p", [rows, width]), normal("b", [width])], `addToStream ${at}`)
      const layer = [normal("w12", [2 * width, 6]), normal("b12", [2 * width]), normal("w3", [6, width])]
      sameBothWays((x, w12, b12, w3) => swiGlu({ "f.w12.weight": w12!, "f.w12.bias": b12!, "f.w3.weight": w3! }, "f", x as tf.Tensor2D),
        [normal("x", [rows, 6]), ...layer], `swiGlu ${at}`)
    }), { numRuns: 15 }))

  lawful("add to a stream whose gradient is also that of something else", () =>
    // The square's gradient is added to x's, and that one released, before the gradient of the product is used.
    sameBothWays((x, p, bias) => {
      const product = tf.mul(p!, 2) as tf.Tensor2D
      const squared = tf.square(x!)
      return tf.add(addToStream(x as tf.Tensor2D, product, bias!), squared)
    }, [normal("x", [5, 3]), normal("p", [5, 3]), normal("b", [3])], "a shared gradient"))

  lawful("attend as the portable form does, with and without a mask", () =>
    fc.assert(fc.property(fc.integer({ min: 1, max: 3 }), fc.constantFrom(1, 3), fc.constantFrom(2, 6, 16, 66, 130), fc.constantFrom(4, 13, 48, 101), fc.boolean(), (batch, heads, size, positions, masked) => {
      const rope = ropeTable({ headSize: size, prefix: 3, length: positions - 3 })
      const bias = masked ? tf.mul(tf.cast(tf.less(normal("mask", [batch, 1, 1, positions]), -0.5), "float32"), -1e30) : undefined
      const names = ["qkv.weight", "qkv.bias", "q_norm.weight", "k_norm.weight", "proj.weight"]
      const hidden = heads * size
      const attend = (x: tf.Tensor, ...weights: Array<tf.Tensor>) =>
        selfAttention(Object.fromEntries(names.map((name, i) => [`a.${name}`, weights[i]!])), "a", x as tf.Tensor2D, { batch, heads, positions }, rope, bias)
      const inputs = [normal("x", [batch * positions, hidden]), normal("qkv", [3 * hidden, hidden], hidden ** -0.5), normal("b", [3 * hidden]),
        normal("q", [size]), normal("k", [size]), normal("proj", [hidden, hidden], hidden ** -0.5)]
      sameBothWays(attend as (...inputs: Array<tf.Tensor>) => tf.Tensor, inputs, `attention ${batch} × ${heads} × ${positions} × ${size}`)
    }), { numRuns: 25 }))

  it.effect("leave nothing on the device", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const before = yield* backend.live
      yield* backend.kernel("gradients", () => {
        const rope = ropeTable({ headSize: 6, prefix: 1, length: 4 })
        const weights = { "a.qkv.weight": normal("qkv", [18, 6]), "a.qkv.bias": normal("b", [18]), "a.q_norm.weight": normal("q", [6]), "a.k_norm.weight": normal("k", [6]), "a.proj.weight": normal("p", [6, 6]) }
        const attend = (x: tf.Tensor) => selfAttention(weights, "a", x as tf.Tensor2D, { batch: 2, heads: 1, positions: 5 }, rope)
        const layer = { "f.w12.weight": normal("w12", [8, 6]), "f.w12.bias": normal("b12", [8]), "f.w3.weight": normal("w3", [6, 4]) }
        const block = (x: tf.Tensor) => addToStream(x as tf.Tensor2D, swiGlu(layer, "f", rmsNorm(attend(x), normal("n", [6])) as tf.Tensor2D), normal("r", [6]))
        tf.grad(block)(normal("x", [10, 6])).dataSync()
        // Rotation tables outlive kernels.
        tf.dispose([rope.cos, rope.sin, rope.quarterTurn])
      })
      assert.strictEqual(yield* backend.live, before)
    }))

  lawful("take cross-entropy as the portable forms do", () =>
    fc.assert(fc.property(rowCounts, fc.constantFrom(2, 66, 101), (rows, vocabulary) => {
      const run = kernels()
      const [bias, weights] = [normal("bias", [vocabulary]) as tf.Tensor1D, normal("weights", [rows]) as tf.Tensor1D]
      const targets = tf.tensor1d(Array.from({ length: rows }, (_, i) => (7 * i) % vocabulary), "int32")
      // The product is used up: each call gets its own, which no host array shares.
      const product = () => tf.mul(normal("product", [rows, vocabulary]), 3) as tf.Tensor2D
      const own = weightedCrossEntropy(product(), bias, targets, weights)
      const portable = withoutOwnKernels(() => weightedCrossEntropy(product(), bias, targets, weights))
      for (const part of ["losses", "gradient", "biasGradient"] as const) near(own[part], portable[part], part)
      const [scaled, factor] = [product(), tf.scalar(rows / 3)]
      const expected = tf.mul(scaled, factor)
      run("ElfScale", [scaled, factor], 0)
      near(scaled, expected, "scaled")
    }), { numRuns: 9 }))

  lawful("give a row the same numbers however many rows there are", () => {
    const run = kernels()
    for (const width of [6, 80, 257]) {
      const rows = tf.mul(normal("rows", [65, width]), 1) as tf.Tensor2D
      const [weight, bias] = [normal("weight", [width]), normal("bias", [width])]
      const [unembedding, logitBias] = [normal("unembedding", [width, 230]), normal("logitBias", [230])]
      const sequences = (x: tf.Tensor2D) => Array.from({ length: 3 }, () => tf.reshape(x, [x.shape[0], 1, 1, width]))
      const forms: Record<string, (x: tf.Tensor2D) => tf.Tensor> = {
        rmsNorm: (x) => run("ElfRmsNorm", [x, weight], 2)[0]!,
        attention: (x) => run("ElfAttention", sequences(x), 2)[0]!,
        residual: (x) => run("ElfResidual", [x, x, bias], 1)[0]!,
        ...(width % 2 === 0 ? { gate: (x: tf.Tensor2D) => run("ElfGate", [x, bias], 1)[0]! } : {}),
        decode: (x) => run("ElfDecode", [x, unembedding, logitBias], 1)[0]!
      }
      for (const [name, form] of Object.entries(forms)) {
        const whole = form(rows)
        for (const [begin, count] of [[0, 1], [3, 7], [60, 5]] as const) {
          const alone = form(tf.slice(rows, [begin, 0], [count, width]))
          assert.deepStrictEqual(alone.dataSync(), tf.slice(whole, begin, count).dataSync(), `${name}, width ${width}, row ${begin}`)
        }
      }
    }
  })

  lawful("orthogonalise as the portable form does", () =>
    fc.assert(fc.property(fc.constantFrom(1, 5, 16, 31, 64, 130), fc.constantFrom(1, 7, 16, 90, 131, 700), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }),
      (rows, columns, n, steps) => tf.tidy(() => {
        kernels()
        const x = normal("x", [n, rows, columns]) as tf.Tensor3D
        near(newtonSchulzBatch(x, steps), withoutOwnKernels(() => newtonSchulzBatch(x, steps)), `${steps} steps of ${x.shape}`, 2e-5)
      })), { numRuns: 25 }))

  lawful("orthogonalise in five steps, each matrix by itself", () => {
    kernels()
    for (const shape of [[3, 40, 40], [1, 384, 700], [1, 700, 384], [2, 5, 90], [1, 90, 1100], [3, 1100, 90]] as const) {
      const x = normal("x", [...shape]) as tf.Tensor3D
      const all = newtonSchulzBatch(x)
      // Five steps of a polynomial that grows small singular values fourfold magnify what the order of a sum changes.
      near(all, withoutOwnKernels(() => newtonSchulzBatch(x)), `newtonSchulz of ${shape.join(" × ")}`, 2e-4)
      const alone = newtonSchulzBatch(tf.slice(x, [0, 0, 0], [1, shape[1], shape[2]]))
      assert.deepStrictEqual(alone.dataSync(), tf.slice(all, [0, 0, 0], [1, shape[1], shape[2]]).dataSync(), "alone and among others")
    }
    assert.deepStrictEqual(new Set(newtonSchulzBatch(tf.zeros([1, 8, 30])).dataSync()), new Set([0]))
    assert.deepStrictEqual(new Set(newtonSchulzBatch(tf.zeros([1, 8, 8])).dataSync()), new Set([0]))
  })

  for (const kind of ["muon", "adamw"] as const) {
    lawful(`update in place as by groups, and nobody else's memory: ${kind}`, () => {
      kernels()
      const options: OptimizerOptions = { kind, weightDecay: 0.1, beta1: 0.9, beta2: 0.95 }
      const shapes: Record<string, Array<number>> = { "a.weight": [6, 80], "b.weight": [6, 80], "c.weight": [31, 5], bias: [257], scalar: [1] }
      const host = () => Object.entries(shapes).map(([name, shape]) => ({ name, shape, data: normal(name, shape).dataSync().slice() as Float32Array }))
      const train = () => {
        const given = host()
        const parameters = upload(given)
        const before = Object.values(parameters).map((tensor) => tf.clone(tensor))
        const downloaded = new Map<string, [values: Float32Array, copy: Float32Array]>()
        const average = initialAverage(parameters)
        const state = initialState(options, parameters)
        for (let i = 1; i <= 5; i++) {
          const gradients = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, normal(`${name} ${i}`, shape)]))
          const norm = globalNorm(gradients)
          const used = Object.fromEntries(Object.entries(gradients).map(([name, gradient]) => [name, tf.clone(gradient)]))
          step(options, parameters, state, used, { learningRate: 0.01, gradientScale: 1 / norm })
          for (const [name, gradient] of Object.entries(used)) assert.isTrue(gradient.isDisposed, `gradient of ${name} is released`)
          updateAverage(average, parameters, 0.9)
          for (const { data, name } of download({ ...parameters, ...state.moments })) downloaded.set(`${name} ${i}`, [data, data.slice()])
          for (const [name, shape] of Object.entries(shapes)) near(gradients[name]!, normal(`${name} ${i}`, shape), `gradient of ${name}`, 0)
        }
        host().forEach(({ data, name }, i) => {
          assert.deepStrictEqual(given[i]!.data, data, `host array of ${name}`)
          assert.deepStrictEqual(before[i]!.dataSync(), data, `clone of ${name}`)
          assert.notDeepEqual(parameters[name]!.dataSync(), data, `${name} moves`)
        })
        for (const [name, [values, copy]] of downloaded) assert.deepStrictEqual(values, copy, `download of ${name}`)
        return { ...parameters, ...state.moments, ...Object.fromEntries(Object.entries(average).map(([name, value]) => [`average/${name}`, value])) }
      }
      const [own, portable] = [train(), withoutOwnKernels(train)]
      assert.deepStrictEqual(Object.keys(own), Object.keys(portable))
      for (const name of Object.keys(own)) near(own[name]!, portable[name]!, name)
      tf.dispose([own, portable])
    })
  }
})

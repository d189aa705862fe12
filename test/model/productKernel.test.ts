/** Products of matrices by this library's own operation against TensorFlow's: values, gradients, and rows by themselves. */
import * as tf from "@tensorflow/tfjs-core"
import { assert, layer } from "@effect/vitest"
import fc from "fast-check"
import { withoutOwnKernels } from "../../src/model/backend/ownKernels.ts"
import { testEngine } from "../support/backend.ts"
import { kernels, lawfulWith, near, normal, sameBothWays } from "../support/ownKernels.ts"

layer(testEngine)("products of matrices", (it) => {
  const lawful = lawfulWith(it)

  lawful("multiply as TensorFlow does, either factor turned round, lists of matrices too", () =>
    fc.assert(fc.property(
      fc.constantFrom(1, 8, 9, 37, 145),
      fc.constantFrom(1, 15, 64, 1030, 2049),
      fc.constantFrom(1, 16, 47, 49, 150, 1100),
      fc.constantFrom([], [1], [5], [2, 3]),
      fc.constantFrom([false, false], [false, true], [true, false], [true, true]),
      (rows, terms, columns, list, [left, right]) => {
        const matrix = (name: string, height: number, width: number, turned: boolean) =>
          normal(name, [...(terms > 1000 ? [] : list), ...(turned ? [width, height] : [height, width])], terms ** -0.5)
        const multiply = (a: tf.Tensor, b: tf.Tensor) => tf.matMul(a, b, left, right)
        sameBothWays(multiply as (...inputs: Array<tf.Tensor>) => tf.Tensor, [matrix("a", rows, terms, left!), matrix("b", terms, columns, right!)],
          `${rows} × ${terms} × ${columns}, ${left} ${right}, [${list}]`)
      }
    ), { numRuns: 60 }))

  lawful("leave products of other shapes and types to TensorFlow", () => {
    const [a, b] = [normal("a", [2, 3, 4]), normal("b", [1, 4, 5])]
    near(tf.matMul(a, b), withoutOwnKernels(() => tf.matMul(a, b)), "one right factor for all")
    assert.deepStrictEqual(tf.matMul(tf.zeros([0, 3]), tf.zeros([3, 2])).shape, [0, 2])
    assert.deepStrictEqual([...tf.matMul(tf.tensor2d([[1, 2]], [1, 2], "int32"), tf.tensor2d([[3], [4]], [2, 1], "int32")).dataSync()], [11])
    const f = (...shape: Array<number>) => tf.zeros(shape)
    for (const [name, left, right] of [
      ["ElfProduct", f(3, 4), f(3, 4)], ["ElfProduct", f(2, 3, 4), f(1, 4, 3)], ["ElfProduct", f(0, 4), f(4, 3)],
      ["ElfProductTurnedRight", f(3, 4), f(4, 3)], ["ElfProductTurnedLeft", f(3, 4), f(4, 3)]
    ] as const) assert.throws(() => kernels()(name, [left, right], 1), /factors/)
  })

  lawful("are as exact as single precision, whatever the size of the numbers", () => {
    for (const [size, factor] of [[40, 1], [300, 1e-18], [1030, 1e15]] as const) {
      const a = tf.mul(normal("a", [33, size]), factor) as tf.Tensor2D
      const b = normal("b", [size, 35]) as tf.Tensor2D
      const [left, right, product] = [a, b, tf.matMul(a, b)].map((x) => x.arraySync() as Array<Array<number>>)
      let squares = 0
      let errors = 0
      product!.forEach((row, i) => row.forEach((value, j) => {
        const exact = left![i]!.reduce((sum, x, k) => sum + x * right![k]![j]!, 0)
        squares += exact ** 2
        errors += (value - exact) ** 2
      }))
      assert.isBelow(Math.sqrt(errors / squares), 6e-7, `${size} terms, times ${factor}`)
    }
  })

  lawful("spoil no row but that of a number that is none or infinite", () => {
    const right = tf.add(tf.abs(normal("b", [70, 40])), 0.1) as tf.Tensor2D
    for (const bad of [NaN, Infinity, -Infinity]) {
      const rows = normal("a", [40, 70]).arraySync() as Array<Array<number>>
      const clean = tf.matMul(tf.tensor2d(rows), right).arraySync() as Array<Array<number>>
      rows[17]![33] = bad
      const product = tf.matMul(tf.tensor2d(rows), right).arraySync() as Array<Array<number>>
      product.forEach((row, i) => i === 17 ? assert.isFalse(row.some(Number.isFinite), `${bad}`) : assert.deepStrictEqual(row, clean[i]))
    }
  })

  lawful("give a row the same numbers however many rows there are", () => {
    for (const width of [6, 80, 257, 1030]) {
      const rows = tf.mul(normal("rows", [65, width]), 1) as tf.Tensor2D
      const right = normal("right", [width, 230]) as tf.Tensor2D
      const turned = tf.transpose(right) as tf.Tensor2D
      for (const [name, form] of [["as it is", (x: tf.Tensor2D) => tf.matMul(x, right)], ["turned round", (x: tf.Tensor2D) => tf.matMul(x, turned, false, true)]] as const) {
        const whole = form(rows)
        for (const [begin, count] of [[0, 1], [3, 7], [10, 17], [60, 5]] as const) {
          const alone = form(tf.slice(rows, [begin, 0], [count, width]))
          assert.deepStrictEqual(alone.dataSync(), tf.slice(whole, begin, count).dataSync(), `${name}, width ${width}, row ${begin}`)
        }
      }
    }
  })
})

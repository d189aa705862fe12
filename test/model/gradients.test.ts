/** The way back over recorded operations, against TensorFlow.js's own. */
import * as tf from "@tensorflow/tfjs-core"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { valueAndGradients } from "../../src/model/Gradients.ts"
import { testEngine } from "../support/backend.ts"
import { normal, near } from "../support/ownKernels.ts"

/** Reads a parameter twice, hands a gradient through unchanged, splits into several outputs and leaves one parameter out. */
const scalar = (p: Record<string, tf.Tensor>) => (): tf.Scalar => {
  const product = tf.matMul(p["a"] as tf.Tensor2D, p["b"] as tf.Tensor2D)
  const [left, right] = tf.split(tf.add(product, product), 2, 1) as [tf.Tensor, tf.Tensor]
  const passed = tf.customGrad((x, y) => ({ value: tf.add(x as tf.Tensor, y as tf.Tensor), gradFunc: (dy: tf.Tensor) => [dy, dy] }))(left, tf.mul(right, p["c"]!))
  return tf.sum(tf.mul(tf.tanh(passed), tf.add(left, p["a"]!))) as tf.Scalar
}

const parameters = () => ({ a: normal("a", [3, 4]), b: normal("b", [4, 8]), c: normal("c", [4]), unused: normal("unused", [2, 5]) })

layer(testEngine)("gradients", (it) => {
  it.effect("are TensorFlow.js's own, zero where nothing depends on a parameter, and nothing else stays", () =>
    Effect.flatMap(Backend, (backend) => backend.kernel("gradients", () => {
      const p = parameters()
      const before = tf.memory().numTensors
      const { gradients, value } = valueAndGradients(p, scalar(p))
      assert.strictEqual(tf.memory().numTensors - before, 5)
      const { grads, value: expected } = tf.engine().gradients(scalar(p), [p.a, p.b, p.c])
      assert.closeTo(value, expected.dataSync()[0]!, Math.abs(value) * 1e-6)
      ;[gradients["a"]!, gradients["b"]!, gradients["c"]!].forEach((gradient, i) => near(gradient, grads[i]!, `gradient ${i}`))
      assert.deepStrictEqual(new Set(gradients["unused"]!.dataSync()), new Set([0]))
    })))

  it.effect("leave nothing, and record nothing more, after a failure forwards or backwards", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const live = yield* backend.live
      const failing = (where: "forwards" | "backwards") => backend.kernel(where, () => {
        const p = parameters()
        const broken = tf.customGrad((x, save) => {
          ;(save as tf.GradSaveFunc)([x as tf.Tensor])
          return { value: tf.square(x as tf.Tensor), gradFunc: (): tf.Tensor => { throw new Error("no way back") } }
        })
        return void valueAndGradients(p, () => {
          const squares = broken(tf.tanh(p.a))
          if (where === "forwards") throw new Error("no way on")
          return tf.sum(squares) as tf.Scalar
        })
      })
      for (const where of ["forwards", "backwards"] as const) {
        assert.strictEqual((yield* Effect.flip(failing(where)))._tag, "KernelError")
        assert.strictEqual(yield* backend.live, live)
        assert.isFalse(tf.engine().isTapeOn())
      }
    }))
})

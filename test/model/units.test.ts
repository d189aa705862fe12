/** The network's layers, one by one, against the reference. */
import * as tf from "@tensorflow/tfjs-core"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { maskBias, selfAttention } from "../../src/model/Attention.ts"
import { Backend } from "../../src/model/Backend.ts"
import { block } from "../../src/model/Block.ts"
import { linear, project } from "../../src/model/Linear.ts"
import type { Parameters } from "../../src/model/Parameters.ts"
import { rmsNorm } from "../../src/model/RmsNorm.ts"
import { rotate, type RopeOptions, type RopeTable, ropeTable } from "../../src/model/Rope.ts"
import { swiGlu } from "../../src/model/SwiGlu.ts"
import { sinusoidal, timeEmbedding } from "../../src/model/TimeEmbedding.ts"
import { testEngine } from "../support/backend.ts"
import { fixture } from "../support/fixtures.ts"
import { assertNear } from "../support/tolerances.ts"

const units = fixture("units")

/** The recorded parameters under `prefix`, named as the layer `name` looks for them. */
const parametersOf = (prefix: string, name: string): Parameters =>
  Object.fromEntries(units.group(`${prefix}.`).map((each) => [`${name}.${each.name}`, tf.tensor(each.data, [...each.shape])]))

/** `[2, 11, 64]` as the rows that layers take. */
const rows = (key: string): tf.Tensor2D => tf.reshape(units.tensor(key), [-1, units.shape(key).at(-1)!])

const released = ({ cos, quarterTurn, sin }: RopeTable) => tf.dispose([cos, sin, quarterTurn])

const blockShape = { batch: 2, positions: 11, heads: 4 }

layer(testEngine)("a layer", (it) => {
  /** Checks what `compute` gives against `expected`, and that it keeps nothing. */
  const check = (name: string, expected: string, compute: () => tf.Tensor) =>
    it.effect(name, () =>
      Effect.gen(function*() {
        const backend = yield* Backend
        const before = yield* backend.live
        const actual = yield* backend.kernel(name, () => compute().dataSync())
        assert.strictEqual(yield* backend.live, before, "live tensors")
        assertNear("unit", actual, units.floats(expected), name)
      }))

  const withRope = <T extends tf.Tensor>(options: RopeOptions, use: (table: RopeTable) => T): T => {
    const table = ropeTable(options)
    const result = use(table)
    released(table)
    return result
  }

  const rope = { headSize: 16, prefix: 12, length: 24 }
  check("rotary table: cos", "rope.cos", () => withRope(rope, ({ cos }) => tf.clone(cos)))
  check("rotary table: sin", "rope.sin", () => withRope(rope, ({ sin }) => tf.clone(sin)))
  check("rotary embedding", "rope.y", () => withRope(rope, (table) => rotate(table, units.tensor("rope.x"))))
  check("rotary embedding: the quarter turn", "rotate_half.y", () =>
    withRope(rope, ({ quarterTurn }) => tf.matMul(units.tensor<tf.Tensor2D>("rotate_half.x"), quarterTurn)))

  it.effect("sinusoidal embedding", () =>
    Effect.gen(function*() {
      const times = units.floats("tse.t")
      assert.strictEqual(times.at(-1), 1000)
      const backend = yield* Backend
      const actual = yield* backend.kernel("sinusoidal", () => sinusoidal(tf.tensor1d(times)).dataSync())
      const expected = units.floats("tse.emb256")
      assertNear("unit", actual.slice(0, -256), expected.slice(0, -256), "sinusoidal embedding, t ≤ 5")
      // One unit in the last place of a frequency near 1 is 2⁻²⁴, so no angle t·frequency is known better than this.
      actual.slice(-256).forEach((x, i) => assert.closeTo(x, expected[1792 + i]!, 2 * 1000 * 2 ** -24))
    }))
  check("sinusoidal embedding of odd width", "tse.emb7", () => sinusoidal(units.tensor("tse.t"), 7))
  check("time embedding", "te.out", () => timeEmbedding(parametersOf("te", "te"), "te", units.tensor("tse.t")))

  check("root-mean-square norm", "rms.y", () => rmsNorm(units.tensor("rms.x"), units.tensor("rms.weight")))
  check("gated feed-forward", "swiglu.y", () => swiGlu(parametersOf("swiglu", "mlp"), "mlp", rows("swiglu.x")))

  const attention = (table?: RopeTable, bias?: tf.Tensor) =>
    selfAttention(parametersOf("block", "block"), "block.attn", rows("block.x"), blockShape, table, bias)
  const blockRope = { headSize: 16, prefix: 3, length: 8 }
  const keyMask = () => maskBias(tf.reshape(units.tensor("block.mask2d"), [2, 1, 1, 11]))
  const pairMask = () => maskBias(tf.reshape(units.tensor("block.mask3d"), [2, 1, 11, 11]))
  check("attention", "attn.y", () => withRope(blockRope, (table) => attention(table)))
  check("attention without rotation", "attn.y_norope", () => attention())
  check("attention with masked keys", "attn.y_mask2d", () => withRope(blockRope, (table) => attention(table, keyMask())))
  check("attention with masked pairs", "attn.y_mask3d", () => withRope(blockRope, (table) => attention(table, pairMask())))

  check("block", "block.y", () =>
    withRope(blockRope, (table) => block(parametersOf("block", "block"), "block", rows("block.x"), blockShape, table)))

  check("final layer", "final.y", () => {
    const parameters = parametersOf("final", "final")
    return linear(parameters, "final.linear", rmsNorm(rows("block.x"), parameters["final.norm_final.weight"]!))
  })
  check("bottleneck", "bottleneck.y", () => {
    const parameters = parametersOf("bottleneck", "bottleneck")
    return linear(parameters, "bottleneck.proj2", project(rows("bottleneck.x"), parameters["bottleneck.proj1.weight"] as tf.Tensor2D))
  })
})

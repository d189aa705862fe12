/** Shapes, counts and initial values of the parameters. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { statistics, type StatisticsCase } from "../../bench/parity/cases/initialization.ts"
import { keyed } from "../../src/flow/Random.ts"
import { initialParameters, initialT5 } from "../../src/model/Initialization.ts"
import { feedForwardInner, headSize, type ModelConfig, parameterCount, parameterShapes, presets } from "../../src/model/ModelConfig.ts"
import type { HostTensor } from "../../src/model/Parameters.ts"
import { t5Shapes } from "../../src/model/T5Encoder.ts"
import { testEngine } from "../support/backend.ts"
import { fixture, fixtureCase } from "../support/fixtures.ts"
import { assertCase } from "../support/parity.ts"
import { referenceT5, referenceWeights } from "../support/reference.ts"

describe("the published sizes", () => {
  const published = {
    "ELF-B": { parameters: 104_579_940, head: 64, inner: 2048 },
    "ELF-M": { parameters: 342_540_036, head: 66, inner: 2816 },
    "ELF-L": { parameters: 652_103_332, head: 80, inner: 3413 }
  }
  for (const [name, { head, inner, parameters }] of Object.entries(published)) {
    it(`${name}: ${parameters.toLocaleString("en")} parameters`, () => {
      const config: ModelConfig = presets[name as keyof typeof presets]
      assert.strictEqual(parameterCount(config), parameters)
      assert.strictEqual(headSize(config), head)
      assert.strictEqual(feedForwardInner(config), inner)
    })
  }
})

describe("parameters", () => {
  it("of a T5 encoder: the names and shapes of its published weights", () => {
    const { config, tensors } = referenceT5()
    assert.deepStrictEqual(Object.fromEntries(t5Shapes(config)), Object.fromEntries(tensors.map(({ name, shape }) => [name, [...shape]])))
    const gated = t5Shapes({ ...config, feed_forward_proj: "gated-gelu" })
    assert.isFalse(gated.has("encoder.block.0.layer.1.DenseReluDense.wi.weight"))
    assert.deepStrictEqual(gated.get("encoder.block.1.layer.1.DenseReluDense.wi_1.weight"), [config.d_ff, config.d_model])
    assert.strictEqual(fixture("t5_weights").names.length, tensors.length)
  })
})

layer(testEngine)("of the reference", (it) => {
  for (const name of ["model", "model_variant", "t5_weights"]) {
    it.effect(`${name}: names and shapes`, () => assertCase(name))
  }

  it.effect("model: in the reference's order", () =>
    Effect.gen(function*() {
      const { rows } = yield* assertCase("model")
      assert.deepStrictEqual(rows.map(({ array }) => array), ["names and shapes", "param_order"])
      const { scalars } = fixtureCase<unknown, { readonly param_order: Array<string> }>("model")
      assert.deepStrictEqual([...parameterShapes(referenceWeights("model").config).keys()], scalars.param_order)
    }))

  it.effect("init_stats: the statistics of every parameter", () =>
    Effect.gen(function*() {
      const { rows } = yield* assertCase("init_stats")
      const { scalars: { stats } } = fixtureCase("init_stats") as StatisticsCase
      const constant = Object.values(stats).filter(({ std }) => std === 0).length
      assert.isAbove(constant, 0)
      assert.strictEqual(rows.length, 1 + constant + 3 * (Object.keys(stats).length - constant))
    }))
})

describe("initial parameters", () => {
  const { config } = referenceWeights("model")
  const initial = initialParameters(config, keyed(17))

  it("Xavier-uniform matrices stay within their bound, and reach it", () => {
    const matrices = initial.filter(({ name, shape }) => shape.length === 2 && !name.includes("embedder") && !name.startsWith("final_layer"))
    assert.isAbove(matrices.length, 15)
    for (const { data, name, shape: [rows, columns] } of matrices) {
      const bound = Math.sqrt(6 / (rows! + columns!))
      const largest = data.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
      assert.isAtMost(largest, bound * (1 + 1e-6), name)
      assert.isAtLeast(largest, bound * 0.95, name)
    }
  })

  it("is a function of seed and name: another seed is another network, another size the same tokens", () => {
    const find = (tensors: ReadonlyArray<HostTensor>, name: string) => tensors.find((tensor) => tensor.name === name)!.data
    assert.deepStrictEqual(initialParameters(config, keyed(17)), initial)
    assert.notDeepEqual(find(initialParameters(config, keyed(18)), "mode_tokens"), find(initial, "mode_tokens"))
    const deeper = initialParameters({ ...config, depth: config.depth + 1 }, keyed(17))
    for (const { data, name } of initial) assert.deepStrictEqual(find(deeper, name), data)
    assert.notDeepEqual(find(initial, "blocks.0.attn.proj.weight"), find(initial, "blocks.1.attn.proj.weight"))
  })

  it("T5: norms 1, each matrix with its deviation", () => {
    const t5 = referenceT5().config
    for (const tensor of initialT5(t5, keyed(3))) {
      if (tensor.name.endsWith("norm.weight")) assert.isTrue(tensor.data.every((x) => x === 1))
      else {
        const inverse = tensor.name === "shared.weight" ? 1
          : tensor.name.endsWith(".q.weight") ? t5.d_model * t5.d_kv
          : tensor.name.endsWith(".o.weight") ? t5.num_heads * t5.d_kv
          : tensor.name.endsWith(".wo.weight") ? t5.d_ff
          : t5.d_model
        assert.closeTo(statistics(tensor).std * Math.sqrt(inverse), 1, 5 / Math.sqrt(2 * tensor.data.length), tensor.name)
      }
    }
  })
})

import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Guidance, Random, Solver } from "../../src/flow/index.ts"
import { vectors } from "../support/arbitraries.ts"

const range = { minimum: 0.5, maximum: 5 }
const draw = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })

describe("the law of the scale", () => {
  it("stays in its range and grows with the draw", () => {
    const scale = Guidance.scaleFromUniform(range)
    fc.assert(fc.property(draw, draw, (a, b) => {
      assert.isTrue(scale(a) >= 0.5 - 1e-6 && scale(a) <= 5 + 1e-6)
      if (a <= b) assert.isTrue(scale(a) <= scale(b))
    }))
    assert.closeTo(scale(0), 0.5, 1e-6)
    assert.closeTo(scale(1), 5, 1e-5)
  })

  it("is log-uniform in 1 + w: half of the draws lie below √(1.5 · 6) − 1 = 2", () => {
    const scales = Random.keyed(3).uniform({ purpose: "scale", index: 0 }, 10_000).map(Guidance.scaleFromUniform(range))
    assert.closeTo(scales.filter((w) => w < 2).length / 10_000, 0.5, 0.02)
    assert.closeTo(scales.reduce((sum, w) => sum + Math.log(1 + w), 0) / 10_000, (Math.log(1.5) + Math.log(6)) / 2, 0.02)
  })

  it("of one point is that point", () => {
    fc.assert(fc.property(draw, (u) => assert.closeTo(Guidance.scaleFromUniform({ minimum: 1, maximum: 1 })(u), 1, 1e-6)))
  })

  it("refuses an empty range and one without a logarithm", () => {
    assert.throws(() => Guidance.scaleFromUniform({ minimum: -1, maximum: 1 }), /minimum must be above −1/)
    assert.throws(() => Guidance.scaleFromUniform({ minimum: 2, maximum: 1 }), /maximum must be finite and ≥ minimum/)
  })
})

describe("combine", () => {
  it("is the unconditional at scale 0, the conditional at 1, and on their line elsewhere", () => {
    fc.assert(fc.property(vectors, fc.float({ min: 0, max: 5, noNaN: true }), ([u, c], scale) => {
      const at = (s: number) => Guidance.combine(Solver.hostAlgebra, u, c, s)
      at(0).forEach((x, i) => assert.closeTo(x, u[i]!, 1e-6))
      at(1).forEach((x, i) => assert.closeTo(x, c[i]!, 2e-6))
      at(scale).forEach((x, i) => assert.closeTo(x, u[i]! + scale * (c[i]! - u[i]!), 2e-5))
    }))
  })
})

describe("targetWeight", () => {
  it("solves g = u + w(c − u) for the field that the target adds up to: c = g − (1 − 1/w)(g − u)", () => {
    fc.assert(fc.property(fc.double({ min: 0.5, max: 5, noNaN: true }), (w) => {
      const [u, c] = [0.3, -1.1]
      const guided = u + w * (c - u)
      assert.closeTo(guided - Guidance.targetWeight(w) * (guided - u), c, 1e-5)
    }))
    assert.strictEqual(Guidance.targetWeight(1), 0)
    assert.strictEqual(Guidance.targetWeight(0.5), -1)
    assert.throws(() => Guidance.targetWeight(0), /other than 0/)
  })
})

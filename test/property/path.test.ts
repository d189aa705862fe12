import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Path } from "../../src/flow/index.ts"
import { time, vectors } from "../support/arbitraries.ts"

const noiseScale = fc.float({ min: 0.5, max: 8, noNaN: true })

/** −0 as 0. */
const unsigned = (values: Float32Array) => values.map((x) => x + 0)

const close = (actual: Float32Array, expected: ArrayLike<number>, tolerance: number) => {
  assert.strictEqual(actual.length, expected.length)
  actual.forEach((x, i) => assert.closeTo(x, expected[i]!, tolerance))
}

describe("interpolate", () => {
  it("is the scaled noise at t = 0 and the data at t = 1, exactly", () => {
    fc.assert(fc.property(vectors, noiseScale, ([clean, noise], scale) => {
      assert.deepStrictEqual(unsigned(Path.interpolate(clean, noise, 0, scale)), unsigned(noise.map((x) => x * scale)))
      assert.deepStrictEqual(unsigned(Path.interpolate(clean, noise, 1, scale)), clean)
    }))
  })

  it("is linear in t", () => {
    fc.assert(fc.property(vectors, time, time, time, ([clean, noise], a, b, share) => {
      const at = (t: number) => Path.interpolate(clean, noise, t, 2)
      const [za, zb] = [at(a), at(b)]
      close(at(share * a + (1 - share) * b), za.map((x, i) => share * x + (1 - share) * zb[i]!), 1e-4)
    }))
  })

  it("gives each share of the elements its own time", () => {
    fc.assert(fc.property(vectors, fc.array(time, { minLength: 1, maxLength: 5 }), ([clean, noise], times) => {
      const tile = (xs: Float32Array) => Float32Array.from(times.flatMap(() => [...xs]))
      const z = Path.interpolate(tile(clean), tile(noise), times)
      times.forEach((t, i) =>
        assert.deepStrictEqual(z.slice(i * clean.length, (i + 1) * clean.length), Path.interpolate(clean, noise, t)))
    }))
  })

  it("writes the same numbers into an array that it is given", () => {
    fc.assert(fc.property(vectors, time, ([clean, noise], t) => {
      const [z, velocity] = [new Float32Array(clean.length), new Float32Array(clean.length)]
      assert.strictEqual(Path.interpolate(clean, noise, t, 2, z), z)
      assert.deepStrictEqual(z, Path.interpolate(clean, noise, t, 2))
      assert.strictEqual(Path.velocityFromPrediction(clean, z, t, 0.05, velocity), velocity)
      assert.deepStrictEqual(velocity, Path.velocityFromPrediction(clean, z, t, 0.05))
    }))
  })

  it("refuses arrays that do not fit", () => {
    assert.throws(() => Path.interpolate(new Float32Array(4), new Float32Array(4), 0.5, 1, new Float32Array(5)), /out must be of 4 elements, but it is 5/)
    assert.throws(() => Path.interpolate(new Float32Array(4), new Float32Array(3), 0.5), /noise must be of 4 elements, but it is 3/)
    assert.throws(() => Path.interpolate(new Float32Array(4), new Float32Array(4), [0.1, 0.2, 0.3]), /a divisor of 4/)
  })
})

describe("prediction and velocity", () => {
  const timeEpsilon = 0.05
  const inside = time.filter((t) => t <= 1 - timeEpsilon)

  it("are inverse to each other, both ways", () => {
    fc.assert(fc.property(vectors, time, ([prediction, z], t) => {
      const velocity = Path.velocityFromPrediction(prediction, z, t, timeEpsilon)
      close(Path.predictionFromVelocity(velocity, z, t, timeEpsilon), prediction, 1e-5)
      close(Path.velocityFromPrediction(Path.predictionFromVelocity(z, prediction, t), prediction, t), z, 1e-3)
    }))
  })

  it("the data as prediction points along data − noise, away from the clamp", () => {
    fc.assert(fc.property(vectors, inside, ([clean, noise], t) => {
      const z = Path.interpolate(clean, noise, t)
      close(Path.velocityFromPrediction(clean, z, t, timeEpsilon), clean.map((x, i) => x - noise[i]!), 1e-3)
    }))
  })

  it("within the clamp the velocity is (prediction − z) / timeEpsilon", () => {
    fc.assert(fc.property(vectors, time.filter((t) => t > 1 - timeEpsilon), ([prediction, z], t) => {
      close(
        Path.velocityFromPrediction(prediction, z, t, timeEpsilon),
        prediction.map((x, i) => (x - z[i]!) / timeEpsilon),
        1e-4
      )
    }))
  })
})

describe("restoreCondition", () => {
  it("puts the clean values where the mask is set and touches nothing else", () => {
    fc.assert(fc.property(vectors, fc.array(fc.boolean(), { minLength: 16, maxLength: 16 }), ([z, clean], flags) => {
      const mask = Float32Array.from(z, (_, i) => Number(flags[i]))
      const restored = Path.restoreCondition(z, clean, mask)
      restored.forEach((x, i) => assert.strictEqual(x, flags[i] ? clean[i] : z[i]))
      assert.deepStrictEqual(Path.restoreCondition(restored, clean, mask), restored)
    }))
  })
})

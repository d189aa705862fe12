import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Distillation, Random, TimeDistribution } from "../../src/flow/index.ts"

const logitNormal = TimeDistribution.logitNormal({ mean: -1.5, standardDeviation: 0.8 })
const steps = fc.integer({ min: 1, max: 64 })
const unit = fc.float({ min: 0, max: 1, noNaN: true }).map((u) => u + 0)
const draws = fc.float32Array({ min: 0, max: 1, noNaN: true, maxLength: 63 }).map((values) => values.map((u) => u + 0))

/** A student's step: its number of steps, and the span that begins at the share `u` of the room there is. */
const span = fc.tuple(steps, unit).map(([count, u]) =>
  Distillation.spanFrom(Distillation.spanStart(TimeDistribution.uniform, 1 / count).fromDraw(u), 1 / count))

/** A step that is rounded at t = 1 reaches past it by this much. */
const rounding = 2e-6

describe("the student's step", () => {
  it("lies in [0, 1] and is as long as it should be", () => {
    fc.assert(fc.property(steps, fc.float({ min: -6, max: 6, noNaN: true }), (count, draw) => {
      const { end, start } = Distillation.spanFrom(Distillation.spanStart(logitNormal, 1 / count).fromDraw(draw), 1 / count)
      assert.isTrue(start >= 0 && end <= 1 + rounding)
      assert.closeTo(end - start, 1 / count, 1e-7)
    }))
  })

  it("starts by its law, squeezed into the room that is left; of one step, at 0", () => {
    const times = (stepSize: number) => TimeDistribution.sample(Distillation.spanStart(logitNormal, stepSize), Random.keyed(1), { purpose: "time", index: 0 }, 100)
    const whole = TimeDistribution.sample(logitNormal, Random.keyed(1), { purpose: "time", index: 0 }, 100)
    times(0.25).forEach((t, i) => assert.closeTo(t, 0.75 * whole[i]!, 1e-7))
    assert.isTrue(times(1).every((t) => t >= 0 && t <= 1e-6))
  })

  it("refuses lengths outside of (0, 1]", () => {
    for (const stepSize of [0, -0.5, 1.5, NaN]) {
      assert.throws(() => Distillation.spanFrom(0, stepSize), /stepSize must be in \(0, 1\]/)
      assert.throws(() => Distillation.spanStart(logitNormal, stepSize), /stepSize must be in \(0, 1\]/)
    }
  })
})

const assertTimes = (times: Float32Array, { end, start }: Distillation.Span, count: number): void => {
  assert.strictEqual(times.length, count + 1)
  assert.deepStrictEqual([times[0], times.at(-1)], [start, end])
  times.forEach((t, i) => assert.isTrue(i === 0 || t >= times[i - 1]! - 1e-7, `${times}`))
}

describe("the teacher's times", () => {
  it("drawn: ascending from the start to the end, in whatever order they are drawn", () => {
    fc.assert(fc.property(span, draws, (whole, values) => {
      const times = Distillation.drawnTimes(whole, values)
      assertTimes(times, whole, values.length + 1)
      assert.deepStrictEqual(Distillation.drawnTimes(whole, values.toReversed()), times)
    }))
  })

  it("drawn: the draws are where they lie in the span", () => {
    fc.assert(fc.property(span, draws, (whole, values) => {
      const inner = Distillation.drawnTimes(whole, values).slice(1, -1)
      values.toSorted().forEach((u, i) => assert.closeTo(inner[i]!, whole.start + u * (whole.end - whole.start), 2e-7))
    }))
  })

  it("equal: of one length", () => {
    fc.assert(fc.property(span, steps, (whole, count) => {
      const times = Distillation.equalTimes(whole, count)
      assertTimes(times, whole, count)
      times.slice(1).forEach((t, i) => assert.closeTo(t - times[i]!, (whole.end - whole.start) / count, 1e-6))
    }))
    assert.throws(() => Distillation.equalTimes({ start: 0, end: 1 }, 0), /steps must be an integer ≥ 1/)
  })

  it("of one step are the span itself", () => {
    fc.assert(fc.property(span, (whole) => {
      const ends = Float32Array.of(whole.start, whole.end)
      assert.deepStrictEqual(Distillation.equalTimes(whole, 1), ends)
      assert.deepStrictEqual(Distillation.drawnTimes(whole, new Float32Array(0)), ends)
    }))
  })
})

describe("the target", () => {
  const value = fc.double({ min: -4, max: 4, noNaN: true })

  it("is what a student has to predict for its one Euler step to end where the teacher ended", () => {
    fc.assert(fc.property(span, value, value, (whole, z, end) => {
      fc.pre(1 - whole.start > 0.05)
      const target = z + Distillation.extrapolation(whole) * (end - z)
      const length = whole.end - whole.start
      assert.closeTo(z + (length * (target - z)) / (1 - whole.start), end, 1e-5)
    }))
  })

  it("is the teacher's prediction where that stays the same from step to step, however many there are", () => {
    fc.assert(fc.property(span, draws, value, value, (whole, values, z, prediction) => {
      const times = Distillation.drawnTimes(whole, values)
      let at = z
      times.slice(1).forEach((next, i) => {
        // The last step may be that of length 0 at t = 1.
        if (times[i]! < 1) at += ((next - times[i]!) * (prediction - at)) / (1 - times[i]!)
      })
      assert.closeTo(z + Distillation.extrapolation(whole) * (at - z), prediction, 2e-3 * (1 + Math.abs(prediction - z)))
    }))
  })

  it("cannot be read off a span that has no length", () => {
    assert.isTrue(Distillation.isDegenerate({ start: 1, end: 1 }))
    assert.isTrue(Distillation.isDegenerate(Distillation.spanFrom(0.25, 9e-4)))
    assert.isFalse(Distillation.isDegenerate(Distillation.spanFrom(0.25, 1 / 500)))
    assert.strictEqual(Distillation.extrapolation({ start: 1, end: 1 }), 0)
  })
})

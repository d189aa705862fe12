/** Numbers recorded from the unmodified PyTorch reference. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Guidance, Path, Random, TimeDistribution, TimeGrid } from "../../src/flow/index.ts"
import { padAfterEndOfSequence, shiftLeft } from "../../src/streams/index.ts"

const golden = JSON.parse(readFileSync(new URL("./golden-units.json", import.meta.url), "utf8")) as Record<
  string,
  { readonly shape: ReadonlyArray<number>; readonly values: ReadonlyArray<number> }
>
const floats = (name: string) => Float32Array.from(golden[name]!.values)
const rows = (name: string) => {
  const { shape: [count, width], values } = golden[name]!
  return Array.from({ length: count! }, (_, row) => Int32Array.from(values.slice(row * width!, (row + 1) * width!)))
}

/** Two units in the last place of the largest value, unless said otherwise. */
const close = (actual: ArrayLike<number>, expected: Float32Array, tolerance = 1e-7) => {
  assert.strictEqual(actual.length, expected.length)
  expected.forEach((x, i) => assert.closeTo(actual[i]!, x, tolerance))
}

const logitNormal = TimeDistribution.logitNormal({ mean: -1.5, standardDeviation: 0.8 })

describe("times", () => {
  it("of the logit-normal law", () => close(floats("timesteps.n").map(logitNormal.fromDraw), floats("timesteps.t")))
  it("of the uniform law", () =>
    close(floats("timesteps_uniform.u").map(TimeDistribution.uniform.fromDraw), floats("timesteps_uniform.t"), 0))

  const times = (grid: ReadonlyArray<TimeGrid.TimeStep>) => [0, ...grid.map(({ tNext }) => tNext)]
  for (const steps of [1, 2, 8, 32]) {
    it(`of a sampler with ${steps} steps`, () => {
      close(times(TimeGrid.uniform(steps)), floats(`steps${steps}.uniform`))
      const source = Random.recorded({ timeGrid: steps === 1 ? new Float32Array(0) : floats(`steps${steps}.n`) })
      close(times(TimeGrid.logitNormal({ steps, source })), floats(`steps${steps}.t`))
    })
  }
})

describe("the path", () => {
  const clean = floats("noise.x0"), noise = floats("noise.eps"), t = floats("noise.t"), mask = floats("noise.cond_mask")

  it("with one time a row, without and with a condition", () => {
    const z = Path.interpolate(clean, noise, t, 2)
    close(z, floats("noise.z"), 2.4e-7)
    close(Path.restoreCondition(z, clean, mask), floats("noise.z_cond"), 2.4e-7)
  })
  it("velocity of a prediction", () => close(Path.velocityFromPrediction(clean, noise, t, 0.05), floats("vx.v"), 1e-5))
  it("restoring a condition", () => close(Path.restoreCondition(clean, noise, mask), floats("restore.out"), 0))
})

describe("guidance", () => {
  it("scales", () =>
    close(floats("cfgscale.u").map(Guidance.scaleFromUniform({ minimum: 0.5, maximum: 5 })), floats("cfgscale.w"), 1e-6))
})

describe("answers", () => {
  it("end before the first EOS", () => {
    for (const pad of [0, 1]) {
      assert.deepStrictEqual(rows("eos.ids").map((ids) => padAfterEndOfSequence(ids, 1, pad)), rows(`eos.masked_pad${pad}`))
    }
  })
  it("are moved over their condition", () => {
    const shifted = rows("eos.ids").map((ids, i) => shiftLeft(ids, golden["shift.by"]!.values[i]!, 0))
    assert.deepStrictEqual(shifted, rows("shift.out"))
    assert.deepStrictEqual(shifted.map((ids) => padAfterEndOfSequence(ids, 1, 1)), rows("shift.out_then_eos"))
  })
})

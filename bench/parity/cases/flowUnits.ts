/** The part of `units` that needs no device: times, path, scales, the ends of answers. */
import { Guidance, Path, Random, TimeDistribution, TimeGrid } from "../../../src/flow/index.ts"
import { padAfterEndOfSequence, shiftLeft } from "../../../src/streams/trim.ts"
import { descriptionOf, type Fixture, type FixtureCase } from "../Directory.ts"
import type { Finding } from "../Finding.ts"
import { rowsOf } from "../rows.ts"

/** The law of the denoiser's times in every published configuration; the unit cases do not record it. */
const law = { mean: -1.5, standardDeviation: 0.8 }

const times = (grid: ReadonlyArray<TimeGrid.TimeStep>): ReadonlyArray<number> => [0, ...grid.map(({ tNext }) => tNext)]

const near = (array: string, actual: ArrayLike<number>, units: Fixture): Finding => ({ array, quantity: "flow", actual, expected: units.floats(array) })

const gridFindings = (units: Fixture): ReadonlyArray<Finding> =>
  units.names.flatMap((array) => {
    const [, steps, kind] = /^steps(\d+)\.(t|uniform)$/.exec(array) ?? []
    if (steps === undefined) return []
    if (kind === "uniform") return [near(array, times(TimeGrid.uniform(Number(steps))), units)]
    const draws = `steps${steps}.n`
    const source = Random.recorded({ timeGrid: units.has(draws) ? units.floats(draws) : new Float32Array(0) })
    return [near(array, times(TimeGrid.logitNormal({ steps: Number(steps), ...law, source })), units)]
  })

/** A number that the description of an array states. */
const stated = (each: FixtureCase, array: string, pattern: RegExp): number => {
  const found = Number(pattern.exec(descriptionOf(each, array)?.meaning ?? "")?.[1] ?? NaN)
  if (Number.isNaN(found)) throw new Error(`the description of ${array} does not match ${pattern.source}`)
  return found
}

const pathFindings = (units: Fixture, each: FixtureCase): ReadonlyArray<Finding> => {
  const [clean, noise, t, mask] = ["noise.x0", "noise.eps", "noise.t", "noise.cond_mask"].map(units.floats) as [Float32Array, Float32Array, Float32Array, Float32Array]
  const z = Path.interpolate(clean, noise, t, stated(each, "noise.z", /scale ([\d.]+)/))
  return [
    near("noise.z", z, units),
    near("noise.z_cond", Path.restoreCondition(z, clean, mask), units),
    near("vx.v", Path.velocityFromPrediction(clean, noise, t, stated(each, "vx.v", /t_eps ([\d.]+)/)), units),
    near("restore.out", Path.restoreCondition(clean, noise, mask), units)
  ]
}

const drawFindings = (units: Fixture, each: FixtureCase): ReadonlyArray<Finding> => {
  const range = { minimum: stated(each, "cfgscale.w", /over \[([\d.]+),/) - 1, maximum: stated(each, "cfgscale.w", /over \[[\d.]+, ?([\d.]+)\]/) - 1 }
  return [
    near("timesteps.t", units.floats("timesteps.n").map(TimeDistribution.logitNormal(law).fromDraw), units),
    near("timesteps_uniform.t", units.floats("timesteps_uniform.u").map(TimeDistribution.uniform.fromDraw), units),
    near("cfgscale.w", units.floats("cfgscale.u").map(Guidance.scaleFromUniform(range)), units)
  ]
}

const answerFindings = (units: Fixture): ReadonlyArray<Finding> => {
  const ids = rowsOf(units.integers("eos.ids"), units.shape("eos.ids")[1]!)
  const by = units.integers("shift.by")
  const shifted = ids.map((row, i) => shiftLeft(row, by[i]!, 0))
  const exact = (array: string, rows: ReadonlyArray<Int32Array>): Finding =>
    ({ array, quantity: "exact", actual: rows.flatMap((row) => [...row]), expected: units.integers(array) })
  return [
    exact("eos.masked_pad0", ids.map((row) => padAfterEndOfSequence(row, 1, 0))),
    exact("eos.masked_pad1", ids.map((row) => padAfterEndOfSequence(row, 1, 1))),
    exact("shift.out", shifted),
    exact("shift.out_then_eos", shifted.map((row) => padAfterEndOfSequence(row, 1, 1)))
  ]
}

const leftOut: ReadonlyArray<Finding> = [
  { array: "rope2.cos", why: "positions between positions: a network of this library has the one length that it was trained with" },
  { array: "rope2.sin", why: "as rope2.cos" },
  { array: "shift.y3d", why: "latents are never shifted here, only ids are" }
]

/** Every finding that a directory has the arrays for. */
export const flowFindings = (units: Fixture, each: FixtureCase): ReadonlyArray<Finding> =>
  [...gridFindings(units), ...pathFindings(units, each), ...drawFindings(units, each), ...answerFindings(units), ...leftOut]
    .filter(({ array }) => units.has(array))

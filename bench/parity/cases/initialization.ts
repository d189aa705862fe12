/** `init_stats`: the statistics of freshly drawn parameters against those of the reference's. */
import { Effect } from "effect"
import { keyed } from "../../../src/flow/Random.ts"
import { initialParameters } from "../../../src/model/Initialization.ts"
import type { HostTensor } from "../../../src/model/Parameters.ts"
import type { FixtureCase } from "../Directory.ts"
import { agreement, type Finding, type RunCase } from "../Finding.ts"
import { modelConfig, type ModelSettings } from "../reference.ts"

export interface Statistics {
  readonly shape: ReadonlyArray<number>
  readonly mean: number
  readonly std: number
  readonly absmax: number
}

export type StatisticsCase = FixtureCase<ModelSettings, { readonly stats: Readonly<Record<string, Statistics>> }>

/** Mean, deviation (n − 1) and largest magnitude. */
export const statistics = ({ data, shape }: HostTensor): Statistics => {
  const mean = data.reduce((a, b) => a + b, 0) / data.length
  const variance = data.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, data.length - 1)
  return { shape, mean, std: Math.sqrt(variance), absmax: data.reduce((a, b) => Math.max(a, Math.abs(b)), 0) }
}

/** Any seed will do: the reference's generator is another one. */
const seed = 17

const findings = (tensor: HostTensor, theirs: Statistics): ReadonlyArray<Finding> => {
  const ours = statistics(tensor)
  const { name } = tensor
  if (theirs.std === 0) {
    return [{ array: name, part: "constant", quantity: "exact", actual: [ours.mean, ours.std, ours.absmax], expected: [theirs.mean, 0, theirs.absmax] }]
  }
  const error = theirs.std / Math.sqrt(tensor.data.length)
  return [
    // Two independent samples: the error of the difference of their means is √2 times that of one.
    { array: name, part: "mean", quantity: "statistic", actual: [(ours.mean - theirs.mean) / (Math.SQRT2 * error)], expected: [0] },
    { array: name, part: "deviation", quantity: "statistic", actual: [(ours.std - theirs.std) / error], expected: [0] },
    { array: name, part: "largest", quantity: "extreme", actual: [Math.max(ours.absmax / theirs.absmax, theirs.absmax / ours.absmax) - 1], expected: [0] }
  ]
}

export const initializationCase: RunCase = (_, each) =>
  Effect.sync(() => {
    const { config, scalars: { stats } } = each as StatisticsCase
    const initial = initialParameters(modelConfig(config), keyed(seed))
    const texts = (entries: ReadonlyArray<readonly [string, { readonly shape: ReadonlyArray<number> }]>) =>
      new Map(entries.map(([name, { shape }]) => [name, shape.join(" × ")]))
    return [
      agreement("names and shapes", texts(initial.map((tensor) => [tensor.name, tensor])), texts(Object.entries(stats))),
      ...initial.flatMap((tensor) => Object.hasOwn(stats, tensor.name) ? findings(tensor, stats[tensor.name]!) : [])
    ]
  })

/** Weights that other cases use: every parameter of the network, under its name, in its shape and in its place. */
import { Effect } from "effect"
import { parameterShapes } from "../../../src/model/ModelConfig.ts"
import { t5Shapes } from "../../../src/model/T5Encoder.ts"
import type { FixtureCase } from "../Directory.ts"
import { agreement, type Finding, type RunCase } from "../Finding.ts"
import { modelConfig, type ModelSettings, referenceT5 } from "../reference.ts"

type Shapes = Iterable<readonly [name: string, shape: ReadonlyArray<number>]>

const texts = (shapes: Shapes): ReadonlyMap<string, string> => new Map(Array.from(shapes, ([name, shape]) => [name, shape.join(" × ")]))

const orderOf = (names: Iterable<string>): ReadonlyMap<string, string> => new Map(Array.from(names, (name, place) => [name, String(place)]))

/** `model` and `model_variant`. */
export const networkWeights: RunCase = (directory, each) =>
  Effect.sync(() => {
    const { config, scalars } = each as FixtureCase<ModelSettings, { readonly param_order?: ReadonlyArray<string> }>
    const ours = parameterShapes(modelConfig(config))
    const recorded = directory.fixture(each.name).group("")
    const order: ReadonlyArray<Finding> = scalars.param_order === undefined ? [] : [agreement("param_order", orderOf(ours.keys()), orderOf(scalars.param_order))]
    return [agreement("names and shapes", texts(ours), texts(recorded.map(({ name, shape }) => [name, shape]))), ...order]
  })

/** `distill_models`: two networks of one configuration. */
export const pairedWeights: RunCase = (directory, each) =>
  Effect.sync(() => {
    const ours = texts(parameterShapes(modelConfig(each.config as ModelSettings)))
    const recorded = directory.fixture(each.name)
    return ["teacher", "student"].map((network) =>
      agreement(`${network}: names and shapes`, ours, texts(recorded.group(`${network}.`).map(({ name, shape }) => [name, shape]))))
  })

/** `t5_weights`. */
export const encoderWeights: RunCase = (directory) =>
  Effect.sync(() => {
    const { config, tensors } = referenceT5(directory)
    return [agreement("names and shapes", texts(t5Shapes(config)), texts(tensors.map(({ name, shape }) => [name, shape])))]
  })

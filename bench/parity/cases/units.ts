/** `units`: the network's layers one by one. What needs no device is in `flowUnits.ts`. */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { maskBias, selfAttention } from "../../../src/model/Attention.ts"
import { Backend } from "../../../src/model/Backend.ts"
import { block } from "../../../src/model/Block.ts"
import { linear, project } from "../../../src/model/Linear.ts"
import type { Parameters } from "../../../src/model/Parameters.ts"
import { rmsNorm } from "../../../src/model/RmsNorm.ts"
import { rotate, type RopeOptions, type RopeTable, ropeTable } from "../../../src/model/Rope.ts"
import { swiGlu } from "../../../src/model/SwiGlu.ts"
import { sinusoidal, timeEmbedding } from "../../../src/model/TimeEmbedding.ts"
import { descriptionOf, type Fixture, type FixtureCase } from "../Directory.ts"
import type { Finding, RunCase } from "../Finding.ts"
import { flowFindings } from "./flowUnits.ts"

interface Layers {
  readonly units: Fixture
  readonly each: FixtureCase<{ readonly heads: number; readonly head_dim: number }>
}

/** The recorded parameters under `prefix`, named as the layer `name` looks for them. */
const parametersOf = ({ units }: Layers, prefix: string, name: string): Parameters =>
  Object.fromEntries(units.group(`${prefix}.`).map((tensor) => [`${name}.${tensor.name}`, tf.tensor(tensor.data, [...tensor.shape])]))

/** An array with all but its last axis joined: the rows that layers take. */
const rows = ({ units }: Layers, key: string): tf.Tensor2D => tf.reshape(units.tensor(key), [-1, units.shape(key).at(-1)!])

const withRope = <T extends tf.Tensor>(options: RopeOptions, use: (table: RopeTable) => T): T => {
  const table = ropeTable(options)
  const result = use(table)
  tf.dispose([table.cos, table.sin, table.quarterTurn])
  return result
}

/** The description says how many of the `positions` are not rotated. */
const ropeOptions = ({ each }: Layers, described: string, positions: number, headSize: number): RopeOptions => {
  const meaning = descriptionOf(each, described)?.meaning ?? ""
  const prefix = Number(/(\d+) empty/.exec(meaning)?.[1] ?? NaN)
  if (!Number.isInteger(prefix)) throw new Error(`the description of ${described} does not say how many positions are empty`)
  return { headSize, prefix, length: positions - prefix }
}

type Compute = () => tf.Tensor

const ropeUnits = (layers: Layers): Readonly<Record<string, Compute>> => {
  const { units } = layers
  const [positions, headSize] = units.shape("rope.cos") as [number, number]
  const rope = ropeOptions(layers, "rope.cos", positions, headSize)
  return {
    "rope.cos": () => withRope(rope, ({ cos }) => tf.clone(cos)),
    "rope.sin": () => withRope(rope, ({ sin }) => tf.clone(sin)),
    "rope.y": () => withRope(rope, (table) => rotate(table, units.tensor("rope.x"))),
    "rotate_half.y": () => withRope(rope, ({ quarterTurn }) => tf.matMul(units.tensor<tf.Tensor2D>("rotate_half.x"), quarterTurn))
  }
}

const blockUnits = (layers: Layers): Readonly<Record<string, Compute>> => {
  const { each: { config }, units } = layers
  const [batch, positions] = units.shape("block.x") as [number, number]
  const shape = { batch, positions, heads: config.heads }
  const rope = ropeOptions(layers, "attn.y", positions, config.head_dim)
  const attention = (table: RopeTable, bias?: tf.Tensor) => {
    const parameters = parametersOf(layers, "block", "block")
    return tf.add(selfAttention(parameters, "block.attn", rows(layers, "block.x"), shape, table, bias), parameters["block.attn.proj.bias"]!)
  }
  const keyMask = () => maskBias(tf.reshape(units.tensor("block.mask2d"), [batch, 1, 1, positions]))
  const pairMask = () => maskBias(tf.reshape(units.tensor("block.mask3d"), [batch, 1, positions, positions]))
  return {
    "attn.y": () => withRope(rope, (table) => attention(table)),
    "attn.y_norope": () => withRope(rope, (table) => attention({ ...table, cos: tf.onesLike(table.cos), sin: tf.zerosLike(table.sin) })),
    "attn.y_mask2d": () => withRope(rope, (table) => attention(table, keyMask())),
    "attn.y_mask3d": () => withRope(rope, (table) => attention(table, pairMask())),
    "block.y": () => withRope(rope, (table) => block(parametersOf(layers, "block", "block"), "block", rows(layers, "block.x"), shape, table))
  }
}

const otherUnits = (layers: Layers): Readonly<Record<string, Compute>> => {
  const { units } = layers
  return {
    "te.out": () => timeEmbedding(parametersOf(layers, "te", "te"), "te", units.tensor("tse.t")),
    "rms.y": () => rmsNorm(units.tensor("rms.x"), units.tensor("rms.weight")),
    "swiglu.y": () => {
      const parameters = parametersOf(layers, "swiglu", "mlp")
      return tf.add(swiGlu(parameters, "mlp", rows(layers, "swiglu.x")), parameters["mlp.w3.bias"]!)
    },
    "final.y": () => {
      const parameters = parametersOf(layers, "final", "final")
      return linear(parameters, "final.linear", rmsNorm(rows(layers, "block.x"), parameters["final.norm_final.weight"]!))
    },
    "bottleneck.y": () => {
      const parameters = parametersOf(layers, "bottleneck", "bottleneck")
      return linear(parameters, "bottleneck.proj2", project(rows(layers, "bottleneck.x"), parameters["bottleneck.proj1.weight"] as tf.Tensor2D))
    }
  }
}

/** Up to this t an angle's rounding does not show. */
const narrow = 5

/** Sinusoids `[B, width]` of narrow and of wide angles, each to its tolerance. */
const sinusoidFindings = ({ units }: Layers, array: string) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const width = units.shape(array)[1]!
    const times = units.floats("tse.t")
    const actual = yield* backend.kernel(array, () => sinusoidal(tf.tensor1d(times), width).dataSync() as Float32Array)
    const expected = units.floats(array)
    const some = (values: Float32Array, wide: boolean) => values.filter((_, i) => Math.abs(times[Math.floor(i / width)]!) > narrow === wide)
    return [
      { array, part: `t ≤ ${narrow}`, quantity: "unit", actual: some(actual, false), expected: some(expected, false) },
      { array, part: `t > ${narrow}`, quantity: "wideAngle", actual: some(actual, true), expected: some(expected, true) }
    ].filter(({ expected: values }) => values.length > 0) as ReadonlyArray<Finding>
  })

export const unitsCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const layers: Layers = { units: directory.fixture(each.name), each: each as Layers["each"] }
    const { units } = layers
    const computed = Object.entries({ ...ropeUnits(layers), ...blockUnits(layers), ...otherUnits(layers) }).filter(([array]) => units.has(array))
    const outputs = yield* Effect.forEach(computed, ([array, compute]) =>
      Effect.map(
        backend.kernel(array, () => compute().dataSync() as Float32Array),
        (actual): Finding => ({ array, quantity: "unit", actual, expected: units.floats(array) })
      ))
    const sinusoids = yield* Effect.forEach(units.names.filter((name) => /^tse\.emb\d+$/.test(name)), (array) => sinusoidFindings(layers, array))
    return [...outputs, ...sinusoids.flat(), ...flowFindings(units, each)]
  })

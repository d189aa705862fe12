/** What both implementations compute from one checkpoint, side by side. */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { Backend, Checkpoint, type ElfWeights, type ModelConfig, Optimizer, Parameters, Random, readTrainSnapshot, RunConfig, Safetensors } from "../../src/index.ts"
import { forward, withElf } from "../parity/device.ts"
import { type Comparison, judge } from "../parity/Finding.ts"

const rows = 3

/** Inputs of a forward pass: latents at three times, one row of them in decoder mode. */
export const writeInputs = (path: string, { length, textWidth }: ModelConfig.ModelConfig) => {
  const normal = (purpose: string) => Random.keyed(0).normal({ purpose, index: 0 }, rows * length * textWidth)
  return Safetensors.write(path, [
    { name: "z", shape: [rows, length, textWidth], data: normal("z") },
    { name: "selfCondition", shape: [rows, length, textWidth], data: normal("selfCondition") },
    { name: "t", shape: [rows], data: Float32Array.of(0.1, 0.6, 1) },
    { name: "selfConditionScale", shape: [rows], data: Float32Array.of(0.5, 3, 1) },
    { name: "decoderGate", shape: [rows], data: Float32Array.of(0, 0, 1) }
  ])
}

const floats = (tensors: ReadonlyMap<string, Safetensors.Tensor>, name: string): Float32Array => tensors.get(name)!.data as Float32Array

/** x̂ and logits of `weights` against the reference's, named `<prefix>out` and `<prefix>logits`. */
export const compareForward = Effect.fnUntraced(function*(part: string, weights: ElfWeights, inputs: string, expected: string, prefix: string) {
  const [given, recorded] = [yield* Safetensors.readAll(inputs), yield* Safetensors.readAll(expected)]
  const tensor = <T extends tf.Tensor>(name: string): T => tf.tensor(floats(given, name), [...given.get(name)!.shape]) as T
  const outputs = yield* withElf(part, weights, (elf) => forward(elf, {
    z: tensor("z"),
    selfCondition: tensor("selfCondition"),
    t: tensor("t"),
    selfConditionScale: tensor("selfConditionScale"),
    decoderGate: tensor("decoderGate")
  }))
  return (["out", "logits"] as const).map((array): Comparison => ({ part, array, quantity: "forward", actual: outputs[array], expected: floats(recorded, prefix + array) }))
})

/** The gradients of the reference's half: the position hashed, in [−2⁻¹¹, 2⁻¹¹), too small to be clipped. */
const scattered = (size: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => {
    const first = Math.imul(i + 1, 0x9e3779b1)
    const second = Math.imul(first ^ (first >>> 15), 0x85ebca77)
    return (((second ^ (second >>> 13)) >>> 8) * 2 ** -24 - 0.5) * 2 ** -10
  })

/** The weights that one more update of a converted checkpoint leads to. */
const nextWeights = Effect.fnUntraced(function*(path: string) {
  const backend = yield* Backend
  const checkpoint = yield* Checkpoint.read(path)
  const run = yield* RunConfig.decode(checkpoint.configuration)
  const { snapshot } = yield* readTrainSnapshot(checkpoint, run)
  return yield* backend.kernel("nextUpdate", () => {
    const parameters = Parameters.upload(snapshot.model)
    const moments = Parameters.upload(snapshot.moments)
    const gradients = Object.fromEntries(snapshot.model.map(({ data, name, shape }) => [name, tf.tensor(scattered(data.length), [...shape])]))
    const at = { learningRate: run.optimizer.learningRate, gradientScale: 1 }
    Optimizer.step(run.optimizer, parameters, { moments, updates: snapshot.updates }, gradients, at)
    const weights = [...Parameters.download(parameters)]
    for (const owned of [parameters, moments]) Parameters.dispose(owned)
    return weights
  })
})

/** The same against the reference's: the parameter that is farthest off. */
export const compareNextUpdate = Effect.fnUntraced(function*(part: string, path: string, expected: string) {
  const recorded = yield* Safetensors.readAll(expected)
  const weights = yield* nextWeights(path)
  return weights.map(({ data, name }): Comparison => ({
    part: `${part}, worst of ${weights.length}:`,
    array: name,
    quantity: "optimizer",
    actual: data,
    expected: floats(recorded, `next.${name}`)
  })).reduce((worst, each) => judge(each).relative > judge(worst).relative ? each : worst)
})

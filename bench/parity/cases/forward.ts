/** The network's forward passes, and every activation on the way. */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { type ElfInput, trunk } from "../../../src/model/Elf.ts"
import { forward, halves, withElf } from "../device.ts"
import type { Directory, Fixture, FixtureCase } from "../Directory.ts"
import { type Finding, NotRun, type RunCase } from "../Finding.ts"
import { referenceWeights } from "../reference.ts"

const gate = (recorded: Fixture, { scalars }: FixtureCase): Pick<ElfInput, "decoderGate"> => {
  if (recorded.has("decoder_step_active")) return { decoderGate: recorded.tensor("decoder_step_active") }
  const { decoder_step_active: all = false } = scalars as { readonly decoder_step_active?: boolean }
  return all ? { decoderGate: tf.ones([recorded.shape("x")[0]!]) } : {}
}

const inputOf = (recorded: Fixture, each: FixtureCase, width: number): ElfInput => ({
  ...halves(recorded.tensor("x"), width),
  ...gate(recorded, each),
  ...(recorded.has("attention_mask") ? { attentionMask: recorded.tensor<tf.Tensor2D>("attention_mask") } : {}),
  t: recorded.tensor("t"),
  selfConditionScale: recorded.tensor("self_cond_cfg_scale")
})

/** `fwd_*`: x̂ and, where they are recorded, logits. */
export const forwardCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const recorded = directory.fixture(each.name)
    const weights = referenceWeights(directory, "model")
    const outputs = yield* withElf(each.name, weights, (elf) => forward(elf, inputOf(recorded, each, weights.config.textWidth)))
    return (["out", "logits"] as const).filter((array) => recorded.has(array)).map((array): Finding => ({
      array,
      quantity: "forward",
      actual: outputs[array],
      expected: recorded.floats(array)
    }))
  })

/** All activations of one forward pass by the reference's names. */
export const activations = (directory: Directory, name: string) => {
  const seen = new Map<string, Float32Array>()
  const observe = (layer: string, activation: tf.Tensor) => void seen.set(layer, activation.dataSync() as Float32Array)
  const weights = referenceWeights(directory, "model")
  const input = () => inputOf(directory.fixture(name), directory.fixtureCase(name), weights.config.textWidth)
  return Effect.as(withElf(name, weights, (elf) => { trunk(elf, { ...input(), observe }) }), seen as ReadonlyMap<string, Float32Array>)
}

/** `fwd_trace`: the pass whose input another case, named in the description, has. */
export const traceCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const traced = /\bof (fwd_\w+)/.exec(each.desc ?? "")?.[1]
    if (traced === undefined) return yield* new NotRun({ why: "its description does not say of which pass it is" })
    const recorded = directory.fixture(each.name)
    const seen = yield* activations(directory, traced)
    return recorded.names.map((array): Finding => ({
      array,
      quantity: "forward",
      actual: seen.get(array) ?? [],
      expected: recorded.floats(array)
    }))
  })

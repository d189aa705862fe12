/**
 * What a speed measurement runs on, under the keys of the reference's own benchmark, so that both take the same JSON.
 */
import type { ModelConfig } from "../../src/model/ModelConfig.ts"

/** A measurement: sizes of the network and of the batch, and how often each thing is timed. */
export interface SpeedConfiguration {
  readonly name: string
  readonly hidden: number
  readonly depth: number
  readonly heads: number
  readonly text_dim: number
  readonly vocab: number
  readonly seq: number
  readonly batch: number
  readonly bottleneck: number
  readonly threads: number
  readonly train_reps: number
  readonly sample_batch: number
  readonly sample_steps: number
  readonly sample_reps: number
  /** `stub`: latents are given; `t5small`: an encoder of T5-small's sizes with random weights runs in every step. */
  readonly encoder: "stub" | "t5small"
  readonly optimizer: "muon" | "adamw"
  /** Whether half of each row is a condition. */
  readonly cond: boolean
}

const common = { text_dim: 512, vocab: 32_128, seq: 128, bottleneck: 128, threads: 2, encoder: "stub", optimizer: "muon", cond: false } as const

/** The two configurations that figures are published for, and one that takes a second. */
export const configurations: Readonly<Record<string, SpeedConfiguration>> = {
  mid: { ...common, name: "mid", hidden: 256, depth: 6, heads: 4, batch: 8, train_reps: 5, sample_batch: 8, sample_steps: 8, sample_reps: 5 },
  elfb: { ...common, name: "elfb", hidden: 768, depth: 12, heads: 12, batch: 2, train_reps: 3, sample_batch: 2, sample_steps: 8, sample_reps: 3 },
  tiny: { ...common, name: "tiny", hidden: 64, depth: 4, heads: 4, text_dim: 32, vocab: 97, seq: 24, batch: 4, bottleneck: 16, train_reps: 20, sample_batch: 4, sample_steps: 8, sample_reps: 20 }
}

/** A change of `mid`, or of the configuration that `base` names; unknown keys and wrong types are refused. */
const changed = (base: SpeedConfiguration, change: unknown): SpeedConfiguration => {
  if (typeof change !== "object" || change === null) throw new Error(`${JSON.stringify(change)} is no JSON object`)
  for (const [key, value] of Object.entries(change)) {
    const known = (base as unknown as Record<string, unknown>)[key]
    if (known === undefined) throw new Error(`unknown key "${key}"; known: ${Object.keys(base).join(", ")}`)
    if (typeof value !== typeof known) throw new Error(`"${key}" must be a ${typeof known}`)
  }
  return { ...base, ...change }
}

/** Reads the arguments `mid|elfb|tiny|JSON [JSON]`, as the reference's benchmark does. */
export const configurationOf = ([first = "mid", second]: ReadonlyArray<string>): SpeedConfiguration => {
  const named = configurations[first]
  const base = named ?? changed(configurations["mid"]!, JSON.parse(first))
  return second === undefined ? base : changed(base, JSON.parse(second))
}

/** The network of a measurement. */
export const modelOf = (configuration: SpeedConfiguration): ModelConfig => ({
  hidden: configuration.hidden,
  depth: configuration.depth,
  heads: configuration.heads,
  textWidth: configuration.text_dim,
  bottleneck: configuration.bottleneck,
  length: configuration.seq,
  timeTokens: 4,
  selfConditionScaleTokens: 4,
  modeTokens: 4,
  vocabulary: configuration.vocab,
  feedForwardRatio: 4
})

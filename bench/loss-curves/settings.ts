/** The configuration that both implementations train, under the reference's names: `settings.json`. */
import { readFileSync } from "node:fs"
import type { CorruptionSettings, ModelSettings } from "../parity/reference.ts"

export interface Settings extends ModelSettings, CorruptionSettings {
  readonly steps: number
  readonly batch_size: number
  readonly seeds: ReadonlyArray<number>
  /** Steps whose losses are averaged into one point of a curve. */
  readonly window: number
  readonly optimizer: "muon" | "adamw"
  readonly lr: number
  readonly lr_schedule: "constant" | "cosine"
  readonly min_lr: number
  readonly warmup_steps: number
  readonly grad_accum_steps: number
  readonly weight_decay: number
  readonly ema_decay1: number
}

export const settingsFile = new URL("settings.json", import.meta.url)

export const settings = JSON.parse(readFileSync(settingsFile, "utf8")) as Settings

/** The two sides of the comparison. */
export const sides = ["reference", "ours"] as const

export type Side = (typeof sides)[number]

/** One step of one run, as either side writes it: a line of JSON. */
export interface StepLosses {
  readonly step: number
  readonly loss: number
  /** 0 in a batch without denoiser rows. */
  readonly denoiserLoss: number
  /** 0 in a batch without decoder rows. */
  readonly decoderLoss: number
}

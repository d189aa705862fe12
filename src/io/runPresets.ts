/**
 * Presets: the published runs, by name. A run file that `extends` one says only what is its own.
 *
 * @source `src/configs/training_configs`, `src/configs/sampling_configs`
 * @since 0.1.0
 */
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { readRunFile } from "./runConfigText.ts"
import type { RunConfigError } from "./RunConfigError.ts"

/** OpenWebText in three sizes, translation, summaries, and the distillation of the first into few steps. */
export const presetNames = ["owt-b", "owt-m", "owt-l", "wmt14-de-en", "xsum", "owt-b-few-step"] as const

/** The name of a preset. */
export type RunPreset = (typeof presetNames)[number]

const isPreset = (name: unknown): name is RunPreset => presetNames.some((known) => known === name)

/** The folder of the presets; it ships with the package. */
const folder = new URL("../../runs/presets/", import.meta.url)

/** Whether a value is what a section of a run file is parsed to. */
export const isSection = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Sections that are one of several kinds, each with keys of its own: they are replaced, not merged. */
const alternatives = ["timeDistribution"]

const mergeKey = (name: string, base: unknown, own: unknown): unknown =>
  isSection(base) && isSection(own) && !alternatives.includes(name) ? merge(base, own) : own

/** `own` over `base`, section by section; lists and single values are replaced. */
const merge = (base: Record<string, unknown>, own: Record<string, unknown>): Record<string, unknown> => ({
  ...base,
  ...Object.fromEntries(Object.entries(own).map(([name, value]) => [name, mergeKey(name, Object.hasOwn(base, name) ? base[name] : undefined, value)]))
})

/** Puts a configuration over the preset that it extends. What extends none, or an unknown one, stays as it is. */
export const overPreset = (input: unknown): Effect.Effect<unknown, RunConfigError> => {
  if (!isSection(input) || !isPreset(input["extends"])) return Effect.succeed(input)
  const { extends: name, ...own } = input
  return Effect.map(readRunFile(fileURLToPath(new URL(`${String(name)}.yaml`, folder))), (base) => isSection(base) ? merge(base, own) : own)
}

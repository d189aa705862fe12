/**
 * Which variant of this package's kernels the processor can run.
 *
 * @since 0.1.0
 */
import { readFileSync } from "node:fs"

/**
 * Named after the micro-architecture levels of x86-64, and what is added to them.
 *
 * @typedef {"v4-amx" | "v4" | "v3"} Variant
 */

/**
 * Best first; `label` is for people, `flags` are the names in `/proc/cpuinfo` of what the level adds.
 *
 * @type {ReadonlyArray<{ readonly variant: Variant, readonly label: string, readonly flags: ReadonlyArray<string> }>}
 */
const levels = [
  { variant: "v4-amx", label: "AMX", flags: ["amx_tile", "amx_bf16"] },
  { variant: "v4", label: "AVX-512", flags: ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"] },
  { variant: "v3", label: "AVX2", flags: ["avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"] }
]

/** All variants, best first. */
export const variants = levels.map(({ variant }) => variant)

/** The instructions that a variant is made of, for people. @param {Variant} variant @returns {string} */
export const labelOf = (variant) => levels.find((level) => level.variant === variant)?.label ?? variant

/**
 * The best variant for a processor; a level needs all flags of those below it too.
 *
 * @param {string} cpuinfo text of `/proc/cpuinfo`; with several processors the first one speaks for all
 * @returns {Variant | undefined} nothing where the processor is older, or of another kind
 */
export const variantFor = (cpuinfo) => {
  const present = new Set(/^flags\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(/\s+/))
  return levels.find((_, index) => levels.slice(index).every(({ flags }) => flags.every((flag) => present.has(flag))))?.variant
}

/** The best variant for this machine. @returns {Variant | undefined} */
export const processorVariant = () => {
  try {
    return process.arch === "x64" ? variantFor(readFileSync("/proc/cpuinfo", "utf8")) : undefined
  } catch {
    return undefined
  }
}

/**
 * The kernels of this package for libtensorflow on a CPU: compiled when the engine is installed, one variant loaded.
 *
 * Everything works without them, only slower: a compiler or a processor that cannot have them is no error.
 *
 * @since 0.1.0
 */
import { existsSync, readdirSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { complaintOf } from "./command.mjs"
import { linkFlags, runCompiler } from "./compile.mjs"
import { reasonOf } from "./EngineError.mjs"
import { labelOf, processorVariant, variants } from "./processor.mjs"
import { nativeFolder } from "./revision.mjs"

/** @typedef {import("./processor.mjs").Variant} Variant */

/** Normally distributed numbers for a key's words, see `flow/Normals.ts`. @typedef {(out: Float32Array, key: Readonly<Record<"key0" | "key1" | "indexLow" | "indexHigh" | "step", number>>) => void} FillNormals */

const v4 = ["-march=x86-64-v4", "-mprefer-vector-width=512"]

/** @type {Readonly<Record<Variant, ReadonlyArray<string>>>} */
const machineFlags = {
  "v4-amx": [...v4, "-mamx-tile", "-mamx-bf16"],
  v4,
  v3: ["-march=x86-64-v3"]
}

/** Nothing looks at traps or `errno`; sums are still added up in the order that the source states. */
const speedFlags = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"]

/** @param {Variant} variant */
const fileName = (variant) => `elf_kernels_${variant}.node`

/** Sources of addons that are none of the kernels. */
const otherAddons = ["hush.cc", "collectives.cc"]

/** @returns {ReadonlyArray<string>} */
const kernelSources = () =>
  readdirSync(nativeFolder).filter((name) => name.endsWith(".cc") && !otherAddons.includes(name)).sort().map((name) => join(nativeFolder, name))

/**
 * Compiles all variants beside the libraries; one that cannot be compiled is left out, and one line says why.
 *
 * @param {import("./compile.mjs").Tools & { readonly work: string, readonly libtensorflow: import("./libtensorflow.mjs").Libtensorflow,
 *   readonly log: (line: string) => void }} options
 * @returns {Promise<void>}
 */
export const compileKernels = async ({ log, work, libtensorflow, ...tools }) => {
  if (process.arch !== "x64") return log("without the kernels of this package, which need an x86-64 processor")
  const complaints = await Promise.all(variants.map(async (variant) => {
    const target = join(work, "tensorflow", fileName(variant))
    const outcome = await runCompiler(tools, target, [
      ...speedFlags, ...machineFlags[variant], `-I${libtensorflow.includeFolder}`, ...kernelSources(), ...linkFlags(work, libtensorflow)
    ])
    if (outcome.code === 0) return []
    rmSync(target, { force: true })
    return [`${labelOf(variant)}: ${complaintOf(outcome)}`]
  }))
  const [complaint] = complaints.flat()
  if (complaint !== undefined) log(`without the kernels of this package, which need g++ 11 or clang 12 and TensorFlow's headers, for ${complaint}`)
}

/**
 * The variants that run with an engine, the best of this processor's first. `ELF_STREAMS_KERNELS` takes none with 0, and none
 * better than the one it names.
 *
 * @param {Pick<import("./locate.mjs").Installed, "binding">} installed
 * @returns {ReadonlyArray<{ readonly variant: Variant, readonly path: string }>}
 */
export const kernelsOf = ({ binding }) => {
  const named = process.env["ELF_STREAMS_KERNELS"]
  const best = processorVariant()
  if (named === "0" || best === undefined) return []
  const first = Math.max(variants.indexOf(best), variants.findIndex((variant) => variant === named))
  return variants.slice(first)
    .map((variant) => ({ variant, path: join(dirname(binding), fileName(variant)) }))
    .filter(({ path }) => existsSync(path))
}

/**
 * Registers the kernels with the libtensorflow of this process: the best variant that the system lets run. Where all fail, a
 * warning is all that comes of it.
 *
 * @param {Pick<import("./locate.mjs").Installed, "binding">} installed
 * @param {number} threads that one kernel may use
 * @param {(path: string) => any} [open] opens an addon
 * @returns {{ readonly variant: Variant, readonly normals: FillNormals } | undefined} the variant that runs, and what it has beside kernels
 */
export const registerKernels = (installed, threads, open = createRequire(import.meta.url)) => {
  const reasons = []
  for (const { path, variant } of kernelsOf(installed)) {
    try {
      const { normals, register } = open(path)
      register(threads)
      return { variant, normals }
    } catch (error) {
      reasons.push(reasonOf(error))
    }
  }
  if (reasons.length > 0) process.emitWarning(`the kernels of elf-streams could not be loaded, TensorFlow's run instead: ${reasons[0]}; install them again with \`elf engine install --force\``)
  return undefined
}

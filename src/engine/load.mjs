/**
 * Loading the installed engine into this process, as backend `tensorflow` of TensorFlow.js.
 *
 * @since 0.1.0
 */
import { createRequire } from "node:module"
import os from "node:os"
import { join } from "node:path"
import { EngineError, reasonOf } from "./EngineError.mjs"
import { attachMethods } from "./gradients.mjs"
import { hushed } from "./hush.mjs"
import { locate } from "./locate.mjs"
import { moduleLoader } from "./moduleLoader.mjs"
import { registerKernels } from "./ownKernels.mjs"

/** @typedef {typeof import("@tensorflow/tfjs-core")} TensorFlowJs */

/**
 * A loaded engine.
 *
 * @typedef {object} Loaded
 * @property {string} version of libtensorflow
 * @property {boolean} gpu whether tensors live on a GPU
 * @property {number} threads intra-op threads
 * @property {import("./processor.mjs").Variant | undefined} kernels the variant of this package's kernels that runs, if any
 * @property {import("./ownKernels.mjs").FillNormals | undefined} normals random numbers in machine code, where the kernels are
 * @property {import("./locate.mjs").Installed} installed
 */

/** Higher than the priorities of the other backends (WebGL and Node 3, wasm 2, CPU 1). */
const priority = 4

/** @type {Loaded | undefined} */
let loaded

/**
 * Loads the installed engine and registers it as backend `tensorflow`; a second call returns the first one's result.
 *
 * The number of threads is `ELF_STREAMS_THREADS`, else `TF_NUM_INTRAOP_THREADS`, else the number of processors; libtensorflow
 * reads it once, when it is loaded. `ELF_STREAMS_TF32=1` allows TF32 on a GPU, and `CUDA_VISIBLE_DEVICES` chooses which one
 * is used. `ELF_STREAMS_KERNELS=0` leaves this package's own kernels out,
 * `v3` or `v4` takes none better than those for AVX2 or AVX-512.
 *
 * @param {TensorFlowJs} [tf] the caller's TensorFlow.js; by default the one that this package resolves
 * @param {import("./locate.mjs").Installed} [installed] by default the newest one in the cache
 * @returns {Loaded}
 */
export const load = (tf = resolveTensorFlowJs(), installed = locate()) => {
  if (loaded !== undefined) return loaded
  if (installed === undefined) {
    throw new EngineError("NotInstalled", "the tensor engine is not installed", "Install it with `elf engine install`")
  }
  const { quiet, threads } = configureLibrary()
  try {
    const open = () => createRequire(import.meta.url)(installed.binding)
    const binding = quiet ? hushed(installed.hush, open) : open()
    const gpu = binding.isUsingGpuDevice()
    const kernels = gpu ? undefined : registerKernels(installed, threads)
    register(tf, binding, installed.javascript, kernels !== undefined)
    loaded = { version: binding.TF_Version, gpu, threads, kernels: kernels?.variant, normals: kernels?.normals, installed }
    return loaded
  } catch (error) {
    throw new EngineError(
      "LoadFailed",
      `the tensor engine in ${installed.folder} could not be loaded: ${reasonOf(error)}`,
      "Install it again with `elf engine install --force`",
      error
    )
  }
}

/** @returns {TensorFlowJs} */
const resolveTensorFlowJs = () => createRequire(import.meta.url)("@tensorflow/tfjs-core")

/** Sets what libtensorflow reads from the environment when it is loaded. @returns {{ quiet: boolean, threads: number }} */
const configureLibrary = () => {
  // Level 2 leaves errors; whoever sets a lower one wants to see the rest.
  const level = process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "2"
  const quiet = Number(level) >= 2
  const threads = configuredThreads()
  process.env["TF_NUM_INTRAOP_THREADS"] = String(threads)
  Object.assign(process.env, gpuSettings(process.env))
  return { quiet, threads }
}

/**
 * What libtensorflow and CUDA are told about a GPU: memory as it is needed instead of all at once, and products in single
 * precision, unless `ELF_STREAMS_TF32=1` lets them round their factors to TF32. What the user has set stays.
 *
 * @param {Readonly<Record<string, string | undefined>>} environment
 * @returns {Record<string, string>}
 */
export const gpuSettings = (environment) => ({
  TF_FORCE_GPU_ALLOW_GROWTH: environment["TF_FORCE_GPU_ALLOW_GROWTH"] ?? "true",
  NVIDIA_TF32_OVERRIDE: environment["NVIDIA_TF32_OVERRIDE"] ?? (environment["ELF_STREAMS_TF32"] === "1" ? "1" : "0")
})

/**
 * The number of threads that an operation may use: `ELF_STREAMS_THREADS`, else `TF_NUM_INTRAOP_THREADS`, else the number of
 * processors; anything that is no positive whole number counts as not set.
 *
 * @returns {number}
 */
export const configuredThreads = () => {
  const named = [process.env["ELF_STREAMS_THREADS"], process.env["TF_NUM_INTRAOP_THREADS"]]
  return Number(named.find((value) => value !== undefined && /^[1-9]\d*$/.test(value)) ?? os.availableParallelism())
}

/**
 * All that the kernels take from `node:util`. It went away in Node 23; the kernel of `topk` and those that read types off
 * tensors still call it.
 */
const utilForKernels = {
  isArray: Array.isArray,
  isNullOrUndefined: (/** @type {unknown} */ value) => value === null || value === undefined
}

/** The protocol messages serve summaries alone, which this package does not write. */
const noMessages = {}

/**
 * @param {TensorFlowJs} tf
 * @param {any} binding
 * @param {string} javascript
 * @param {boolean} elfKernels
 */
const register = (tf, binding, javascript, elfKernels) => {
  /** @type {Readonly<Record<string, unknown>>} */
  const packages = { "@tensorflow/tfjs": tf, "@tensorflow/tfjs-core": tf, util: utilForKernels, os, "./proto/api_pb": noMessages }
  const require = moduleLoader((request) => packages[request])
  attachMethods(tf)
  const { NodeJSKernelBackend } = require(join(javascript, "dist", "nodejs_kernel_backend.js"))
  require(join(javascript, "dist", "register_all_kernels.js"))
  tf.registerBackend("tensorflow", () => Object.assign(new NodeJSKernelBackend(binding, "tensorflow"), { elfKernels }), priority)
}

/**
 * What this machine runs tensors on, and the command that mends whatever is missing. Never throws.
 *
 * @since 0.1.0
 */
import process from "node:process"
import { cacheRoot } from "./cache.mjs"
import { findCompiler, findNodeHeaders, tryBinding } from "./compile.mjs"
import { EngineError } from "./EngineError.mjs"
import { configuredThreads } from "./load.mjs"
import { locate } from "./locate.mjs"
import { kernelsOf } from "./ownKernels.mjs"
import { nvidiaDriver, platformKey } from "./platform.mjs"
import { labelOf } from "./processor.mjs"
import { findPip } from "./python.mjs"
import { pinnedPlatforms, tfjsVersion } from "./versions.mjs"

/**
 * Something that is not there: what, why it matters, and the command or step that mends it.
 *
 * @typedef {object} Missing
 * @property {string} what
 * @property {string} why
 * @property {string} remedy
 */

/**
 * The state of the engine on this machine; plain data, fit for JSON.
 *
 * @typedef {object} Report
 * @property {"tensorflow" | "wasm" | "cpu"} engine the one that programs get
 * @property {string} version of libtensorflow, or of TensorFlow.js
 * @property {"cpu" | "gpu"} device
 * @property {number} threads
 * @property {string | null} kernels instructions that this package's kernels are compiled for; null where TensorFlow's run
 * @property {string} node version of the running Node
 * @property {string} platform
 * @property {string | null} driver version of the NVIDIA driver
 * @property {string} cache folder of everything that is installed once per user
 * @property {string | null} folder of the engine in use
 * @property {ReadonlyArray<Missing>} missing empty where all is well
 */

/** As in `package.json`, `engines`. */
const oldestNode = [22, 19]

/**
 * Examines the machine: tries the installed engine in a process of its own, and looks for what installing needs.
 *
 * @returns {Promise<Report>}
 */
export const doctor = async () => {
  const native = await nativeEngine()
  const named = process.env["ELF_STREAMS_ENGINE"] ?? ""
  const engine = named === "wasm" || named === "cpu" ? named : native.works === undefined ? "wasm" : "tensorflow"
  const runs = engine === "tensorflow" ? native.works : undefined
  return {
    engine,
    version: runs?.version ?? `TensorFlow.js ${tfjsVersion}`,
    device: runs?.gpu === true ? "gpu" : "cpu",
    threads: engine === "tensorflow" ? configuredThreads() : 1,
    kernels: runs?.kernels ?? null,
    node: process.versions.node,
    platform: platformKey(),
    driver: nvidiaDriver() ?? null,
    cache: cacheRoot(),
    folder: runs?.folder ?? null,
    missing: [...oldNode(), ...unknownName(named), ...native.missing, ...idleGpu(runs)]
  }
}

/** @typedef {{ readonly version: string, readonly gpu: boolean, readonly folder: string, readonly kernels: string | undefined }} Working */

/** @returns {Promise<{ readonly works?: Working, readonly missing: ReadonlyArray<Missing> }>} */
const nativeEngine = async () => {
  const installed = locate()
  if (installed === undefined) return { missing: await notInstalled() }
  try {
    const found = await tryBinding(installed.binding)
    const [best] = found.gpu ? [] : kernelsOf(installed)
    return { works: { ...found, folder: installed.folder, kernels: best && labelOf(best.variant) }, missing: [] }
  } catch (error) {
    return { missing: [toMissing("tensor engine")(error)] }
  }
}

/** @returns {Promise<ReadonlyArray<Missing>>} what an installation would stop at; only the engine itself where nothing would */
const notInstalled = async () => {
  const needs = [
    await absent("C++ compiler", findCompiler),
    await absent("Node-API headers", findNodeHeaders),
    await absent("pip", findPip)
  ].flat()
  return needs.length > 0 ? needs : [platformOrInstall()]
}

/** @returns {Missing} */
const platformOrInstall = () =>
  platformKey() in pinnedPlatforms
    ? { what: "tensor engine", why: "libtensorflow is not installed, so tensors run several times slower", remedy: "elf engine install" }
    : {
      what: "libtensorflow",
      why: `none is pinned for ${platformKey()}`,
      remedy: "Name a folder with libtensorflow: elf engine install --libtensorflow DIR"
    }

/**
 * @param {string} what
 * @param {() => unknown} find
 * @returns {Promise<ReadonlyArray<Missing>>}
 */
const absent = async (what, find) => {
  try {
    await find()
    return []
  } catch (error) {
    return [toMissing(what)(error)]
  }
}

/** @param {string} what @returns {(error: unknown) => Missing} */
const toMissing = (what) => (error) =>
  error instanceof EngineError
    ? { what, why: error.why, remedy: error.remedy }
    : { what, why: String(error), remedy: "elf engine install --force" }

/** @returns {ReadonlyArray<Missing>} */
const oldNode = () => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = oldestNode
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor) ? [] : [{
    what: "Node",
    why: `version ${process.versions.node} is older than ${oldestNode.join(".")}`,
    remedy: "Install a current Node"
  }]
}

/** @param {string} named @returns {ReadonlyArray<Missing>} */
const unknownName = (named) =>
  ["", "tensorflow", "wasm", "cpu"].includes(named)
    ? []
    : [{ what: "ELF_STREAMS_ENGINE", why: `"${named}" names no engine`, remedy: "Set it to tensorflow, wasm or cpu, or unset it" }]

/** @param {Working | undefined} runs @returns {ReadonlyArray<Missing>} */
const idleGpu = (runs) =>
  runs === undefined || runs.gpu || nvidiaDriver() === undefined
    ? []
    : [{ what: "CUDA engine", why: "there is an NVIDIA driver, and the engine runs on the CPU", remedy: "elf engine install --gpu" }]

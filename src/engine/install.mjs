/**
 * Installing the engine: libtensorflow, the JavaScript that drives it and the binding between them, in one cached folder.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { makeTemporary, publish, removeStale } from "./cache.mjs"
import { compileCollectives } from "./collectives.mjs"
import { compileBinding, findCompiler, findNodeHeaders, tryBinding } from "./compile.mjs"
import { EngineError, reasonOf } from "./EngineError.mjs"
import { fetchPinned, preparePinned, takeFolder } from "./libtensorflow.mjs"
import { locate } from "./locate.mjs"
import { isWhole, writeManifest } from "./manifest.mjs"
import { compileKernels } from "./ownKernels.mjs"
import { nvidiaDriver, platformKey } from "./platform.mjs"
import { findPythonTensorflow } from "./python.mjs"
import { engineRevision } from "./revision.mjs"
import { takeTfjs } from "./tfjs.mjs"
import { tfjsVersion } from "./versions.mjs"

/**
 * What the user wants of an installation.
 *
 * @typedef {object} InstallOptions
 * @property {string | undefined} [libtensorflow] folder to take libtensorflow from; else `ELF_STREAMS_LIBTENSORFLOW`
 * @property {boolean | undefined} [gpu] CUDA libraries or not; else `ELF_STREAMS_GPU` (1 or 0); else they are taken where an NVIDIA driver is present
 * @property {boolean | undefined} [force] install again even if a fitting engine is there
 * @property {((line: string) => void) | undefined} [log] progress, one line at a time
 * @property {boolean | undefined} [show] whether programs that are run may draw on the terminal
 */

/** @typedef {import("./locate.mjs").Installed} Installed */

/**
 * Finds a fitting engine in the cache, or makes one. Rejects with an {@link EngineError} that says what is missing.
 *
 * @param {InstallOptions} [options]
 * @returns {Promise<Installed>}
 */
export const install = async (options = {}) => {
  const wish = wishOf(options)
  const present = wish.force ? undefined : locate(wish)
  if (present !== undefined) return present
  removeStale()
  try {
    return await make(wish, wish.device)
  } catch (error) {
    if (wish.device === "cpu" || wish.insists) throw error
    wish.log(`the CUDA engine cannot be had (${reasonOf(error)}); taking the CPU engine instead`)
    return locate({ ...wish, device: "cpu" }) ?? make(wish, "cpu")
  }
}

/**
 * @typedef {object} Wish
 * @property {string | undefined} folder
 * @property {"cpu" | "gpu"} device
 * @property {boolean} insists whether the user asked for the GPU in so many words
 * @property {boolean} force
 * @property {(line: string) => void} log
 * @property {boolean} show
 */

/** @param {InstallOptions} options @returns {Wish} */
const wishOf = (options) => ({
  folder: options.libtensorflow ?? (process.env["ELF_STREAMS_LIBTENSORFLOW"] || undefined),
  device: (options.gpu ?? namedGpu() ?? nvidiaDriver() !== undefined) ? "gpu" : "cpu",
  insists: (options.gpu ?? namedGpu()) === true,
  force: options.force ?? false,
  log: options.log ?? (() => {}),
  show: options.show ?? false
})

/** @returns {boolean | undefined} what `ELF_STREAMS_GPU` says: 1, 0, or nothing */
const namedGpu = () => ({ 1: true, 0: false })[process.env["ELF_STREAMS_GPU"] ?? ""]

/** A source puts libtensorflow into the work folder. @typedef {(work: string) => Promise<import("./libtensorflow.mjs").Libtensorflow>} Source */

/** @param {Wish} wish @param {"cpu" | "gpu"} device @returns {Promise<Installed>} */
const make = async (wish, device) => {
  const tools = { compiler: findCompiler(), headers: findNodeHeaders() }
  const { folder } = wish
  if (folder !== undefined) {
    wish.log(`taking libtensorflow from ${folder}`)
    return assemble(wish, device, tools, async (work) => takeFolder(folder, "folder", work))
  }
  const python = await findPythonTensorflow()
  if (python !== undefined) {
    try {
      wish.log(`taking libtensorflow from TensorFlow ${python.version} for Python in ${python.folder}`)
      return await assemble(wish, device, tools, async (work) => takeFolder(python.folder, "python", work))
    } catch (error) {
      wish.log(`it does not serve (${reasonOf(error)})`)
    }
  }
  const prepared = await preparePinned()
  return assemble(wish, device, tools, (work) => fetchPinned(device, prepared, work, wish))
}

/**
 * @param {Wish} wish
 * @param {"cpu" | "gpu"} device
 * @param {import("./compile.mjs").Tools} tools
 * @param {Source} source
 * @returns {Promise<Installed>}
 */
const assemble = async (wish, device, tools, source) => {
  const temporary = makeTemporary()
  try {
    const work = temporary.path
    const sources = join(work, "tfjs")
    await takeTfjs(sources, wish.log)
    const libtensorflow = await source(work)
    wish.log("compiling the binding")
    const { version, gpu } = await tryBinding(await compileBinding({ ...tools, sources, work, libtensorflow }))
    requireDevice(device, gpu, libtensorflow.origin)
    if (device === "cpu") {
      wish.log("compiling the kernels")
      await compileKernels({ ...tools, work, libtensorflow, log: wish.log })
    }
    await compileCollectives({ ...tools, work, libtensorflow, log: wish.log })
    rmSync(join(sources, "binding"), { recursive: true })
    const facts = { tensorflow: version, device, platform: platformKey(), origin: libtensorflow.origin, compiler: tools.compiler }
    await writeManifest(work, facts)
    // Whoever asks for another installation gets the one just made, not a whole one that lies in its place.
    publish(work, folderName(facts), wish.force ? () => false : isWhole)
  } finally {
    temporary.remove()
  }
  const installed = locate({ ...wish, device })
  if (installed === undefined) throw new EngineError("NotInstalled", "the engine vanished while it was installed", "Try again")
  return installed
}

/** A Python's TensorFlow may be built without CUDA; that is only seen where there is a GPU to be used. @param {"cpu" | "gpu"} device @param {boolean} gpu @param {import("./manifest.mjs").Origin} origin */
const requireDevice = (device, gpu, origin) => {
  if (origin.kind !== "python" || device === "cpu" || gpu) return
  throw new EngineError("SelfTestFailed", `the TensorFlow in ${origin.from} does not see a GPU`, "Install `tensorflow[and-cuda]`")
}

/** @param {Pick<import("./manifest.mjs").Manifest, "tensorflow" | "device" | "platform" | "origin">} facts */
const folderName = ({ tensorflow, device, platform, origin }) => {
  const name = `tensorflow-${tensorflow}-${device}-${platform}-tfjs-${tfjsVersion}-${engineRevision()}`
  return origin.kind === "wheel" ? name : `${name}-${createHash("sha256").update(origin.from).digest("hex").slice(0, 8)}`
}

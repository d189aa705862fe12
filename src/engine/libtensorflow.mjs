/**
 * Where libtensorflow comes from: a folder the user names, a TensorFlow installed for Python, or the pinned wheel.
 *
 * Each source puts the two libraries into `work/tensorflow` and says where the headers are.
 *
 * @since 0.1.0
 */
import { constants, copyFileSync, cpSync, existsSync, linkSync, mkdirSync, readdirSync, realpathSync, statfsSync, statSync, symlinkSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { enginesRoot } from "./cache.mjs"
import { EngineError } from "./EngineError.mjs"
import { manifestIn } from "./manifest.mjs"
import { platformKey } from "./platform.mjs"
import { findPip } from "./python.mjs"
import { pinnedPlatforms } from "./versions.mjs"
import { fetchWheel } from "./wheel.mjs"

/**
 * Libraries that are ready to be linked against.
 *
 * @typedef {object} Libtensorflow
 * @property {string} includeFolder
 * @property {ReadonlyArray<string>} libraries file names in `work/tensorflow`
 * @property {import("./manifest.mjs").Origin} origin
 */

const gigabyte = 1024 ** 3

/** C++ library of a wheel, or the C library of the release archives: the binding needs only the C API, which both have. */
const mainLibraries = ["libtensorflow_cc.so.2", "libtensorflow.so.2"]

/**
 * @param {string} folder
 * @returns {{ readonly libraries: ReadonlyArray<string>, readonly include: string } | undefined}
 */
const layoutOf = (folder) => {
  for (const [libraryFolder, base] of [[folder, folder], [join(folder, "lib"), folder], [join(folder, "tensorflow"), join(folder, "tensorflow")]]) {
    const main = mainLibraries.map((name) => join(libraryFolder ?? "", name)).find((path) => existsSync(path))
    const framework = join(libraryFolder ?? "", "libtensorflow_framework.so.2")
    const include = join(base ?? "", "include")
    if (main !== undefined && existsSync(framework) && existsSync(join(include, "tensorflow", "c", "c_api.h"))) {
      return { libraries: [main, framework], include }
    }
  }
  return undefined
}

/**
 * Takes the libraries from a folder: `tensorflow/` of an unpacked wheel or of `site-packages`, or one with `lib` and `include`.
 * They are hard links where the file system allows it, else copies, so that the engine outlives the folder.
 *
 * @param {string} folder
 * @param {"folder" | "python"} kind
 * @param {string} work
 * @returns {Libtensorflow}
 */
export const takeFolder = (folder, kind, work) => {
  const layout = layoutOf(folder)
  if (layout === undefined) {
    throw new EngineError(
      "UnusableFolder",
      `${folder} has no libtensorflow_cc.so.2 (or libtensorflow.so.2), libtensorflow_framework.so.2 and include/tensorflow/c/c_api.h`,
      "Name the folder `tensorflow` of an unpacked TensorFlow 2.15+ wheel, or one with `lib` and `include` in it"
    )
  }
  const target = join(work, "tensorflow")
  mkdirSync(target, { recursive: true })
  for (const library of layout.libraries) linkOrCopy(realpathSync(library), join(target, basename(library)))
  linkCompanions(dirname(layout.libraries[0] ?? folder), work)
  return {
    includeFolder: layout.include,
    libraries: layout.libraries.map((library) => basename(library)),
    origin: { kind, from: realpathSync(folder) }
  }
}

/** @param {string} source @param {string} target */
const linkOrCopy = (source, target) => {
  try {
    linkSync(source, target)
  } catch {
    copyFileSync(source, target, constants.COPYFILE_FICLONE)
  }
}

/** CUDA libraries are gigabytes and stay where they are: libtensorflow looks for them in `../nvidia`. @param {string} libraryFolder @param {string} work */
const linkCompanions = (libraryFolder, work) => {
  const companions = join(libraryFolder, "..", "nvidia")
  if (existsSync(companions)) symlinkSync(realpathSync(companions), join(work, "nvidia"))
}

/**
 * Checks that this platform has pinned wheels and that pip is there, before anything is downloaded.
 *
 * @returns {Promise<{ readonly platform: import("./versions.mjs").PinnedPlatform, readonly pip: ReadonlyArray<string> }>}
 */
export const preparePinned = async () => {
  const platform = pinnedPlatforms[platformKey()]
  if (platform !== undefined) return { platform, pip: await findPip() }
  throw new EngineError(
    "UnsupportedPlatform",
    `no libtensorflow is pinned for ${platformKey()}, only for ${Object.keys(pinnedPlatforms).join(", ")}`,
    "Name a folder with libtensorflow in ELF_STREAMS_LIBTENSORFLOW, or install TensorFlow for Python"
  )
}

/**
 * Downloads the pinned wheel, with its CUDA companions for a GPU, and unpacks it into the work folder.
 *
 * @param {"cpu" | "gpu"} device
 * @param {Awaited<ReturnType<typeof preparePinned>>} prepared
 * @param {string} work
 * @param {{ readonly log: (line: string) => void, readonly show: boolean }} output
 * @returns {Promise<Libtensorflow>}
 */
export const fetchPinned = async (device, { pip, platform }, work, output) => {
  const main = platform[device]
  const origin = /** @type {const} */ ({ kind: "wheel", from: `${main.project} ${main.version}`, sha256: main.sha256 })
  const earlier = device === "cpu" ? earlierEngine(main.sha256) : undefined
  if (earlier !== undefined) {
    output.log(`taking libtensorflow ${main.version} from an engine of another version of this package`)
    const taken = takeFolder(join(earlier, "tensorflow"), "folder", work)
    cpSync(taken.includeFolder, join(work, "tensorflow", "include"), { recursive: true })
    return { ...taken, origin }
  }
  requireSpace(work, device === "gpu" ? 8 : 2)
  output.log(`downloading libtensorflow ${main.version}${device === "gpu" ? " for CUDA" : ""} with pip: ${platform.download[device]}, once per user`)
  for (const wheel of device === "gpu" ? [main, ...platform.companions] : [main]) {
    if (wheel !== main) output.log(`downloading ${wheel.project} ${wheel.version}`)
    await fetchWheel(wheel, platform, pip, work, output.show)
  }
  return {
    includeFolder: join(work, "tensorflow", "include"),
    libraries: ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"],
    origin
  }
}

/** The folder of an engine that was made from the same wheel and still has its libraries and headers. @param {string} sha256 @returns {string | undefined} */
const earlierEngine = (sha256) => {
  if (!existsSync(enginesRoot())) return undefined
  return readdirSync(enginesRoot()).filter((name) => name.startsWith("tensorflow-")).map((name) => join(enginesRoot(), name)).find((folder) => {
    const manifest = manifestIn(folder)
    if (manifest?.origin.sha256 !== sha256 || layoutOf(join(folder, "tensorflow")) === undefined) return false
    return Object.entries(manifest.files).every(([path, { bytes }]) => !path.includes(".so.") || statSync(join(folder, path), { throwIfNoEntry: false })?.size === bytes)
  })
}

/** @param {string} folder @param {number} gigabytes */
const requireSpace = (folder, gigabytes) => {
  const { bavail, bsize } = statfsSync(folder)
  if (bavail * bsize >= gigabytes * gigabyte) return
  throw new EngineError(
    "NoSpace",
    `${folder} has ${(bavail * bsize / gigabyte).toFixed(1)} GB free, and the engine needs ${gigabytes} GB while it is made`,
    "Free some space, or name another folder in ELF_STREAMS_CACHE"
  )
}

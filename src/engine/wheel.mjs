/**
 * The pinned wheels: downloaded through pip, checked against their sha256, and unpacked as far as they are needed.
 *
 * @since 0.1.0
 */
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { join, normalize } from "node:path"
import { sha256File } from "./checksum.mjs"
import { EngineError } from "./EngineError.mjs"
import { pipDownload } from "./python.mjs"
import { extractZipEntry, readZipEntries } from "./zip.mjs"

/** The libraries, and the headers that the binding's sources reach (14 of 15,000 files in the wheel). */
const neededOfTensorflow = [
  /^tensorflow\/libtensorflow_(cc|framework)\.so\.2$/,
  /^tensorflow\/include\/tensorflow\/c\/.*\.h$/,
  /^tensorflow\/include\/tensorflow\/core\/platform\/ctstring(_internal)?\.h$/,
  /^tensorflow\/include\/tensorflow\/core\/common_runtime\/next_pluggable_device\/c\/.*\.h$/,
  /^tensorflow\/include\/tsl\/platform\/(ctstring(_internal)?|platform)\.h$/,
  /^tensorflow\/include\/xla\/tsl\/c\/.*\.h$/
]

/** Shared libraries, and what the CUDA compiler driver needs at run time. */
const neededOfCompanion = [/^nvidia\/[^/]+\/lib\/[^/]+$/, /^nvidia\/cuda_nvcc\/(bin|nvvm)\/.*$/]

/**
 * Downloads one wheel into a folder and checks that it is the one that was pinned.
 *
 * @param {import("./versions.mjs").PinnedWheel} wheel
 * @param {import("./versions.mjs").PinnedPlatform} platform
 * @param {ReadonlyArray<string>} pip
 * @param {string} folder an empty folder
 * @param {boolean} show whether pip may draw its progress bar
 * @returns {Promise<string>} path of the wheel
 */
const downloadWheel = async (wheel, platform, pip, folder, show) => {
  const target = [
    "--implementation", "cp", "--python-version", platform.pipPython,
    ...platform.pipPlatforms.flatMap((tag) => ["--platform", tag])
  ]
  await pipDownload(pip, `${wheel.project}==${wheel.version}`, target, folder, show)
  const name = readdirSync(folder).find((file) => file.endsWith(".whl"))
  if (name === undefined) {
    throw new EngineError("DownloadFailed", `pip brought no wheel of ${wheel.project}`, "Check pip's configuration, then try again")
  }
  await checkWheel(wheel, join(folder, name))
  return join(folder, name)
}

/**
 * Refuses a wheel whose sha256 is not the pinned one.
 *
 * @param {import("./versions.mjs").PinnedWheel} wheel
 * @param {string} path
 * @returns {Promise<void>}
 */
const checkWheel = async (wheel, path) => {
  const found = await sha256File(path)
  if (found === wheel.sha256) return
  throw new EngineError(
    "ChecksumMismatch",
    `the downloaded ${wheel.project} ${wheel.version} has sha256 ${found}, expected ${wheel.sha256}`,
    "Do not use it: check which index pip is configured for (`pip config list`), clear pip's cache (`pip cache purge`) and try again"
  )
}

/**
 * Downloads one wheel, checks it, and unpacks its needed files below `destination`.
 *
 * @param {import("./versions.mjs").PinnedWheel} wheel
 * @param {import("./versions.mjs").PinnedPlatform} platform
 * @param {ReadonlyArray<string>} pip
 * @param {string} destination
 * @param {boolean} show
 * @returns {Promise<void>}
 */
export const fetchWheel = async (wheel, platform, pip, destination, show) => {
  const folder = mkdtempSync(join(destination, ".wheel-"))
  try {
    const path = await downloadWheel(wheel, platform, pip, folder, show)
    await unpackWheel(path, destination, wheel.project.startsWith("nvidia-") ? neededOfCompanion : neededOfTensorflow)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Unpacks the entries of a wheel whose path one of the patterns matches.
 *
 * @param {string} wheel
 * @param {string} destination
 * @param {ReadonlyArray<RegExp>} needed
 * @returns {Promise<ReadonlyArray<string>>} the paths unpacked, relative to the destination
 */
export const unpackWheel = async (wheel, destination, needed) => {
  const wanted = (await readZipEntries(wheel)).filter((entry) => needed.some((pattern) => pattern.test(entry.name)))
  for (const entry of wanted) {
    if (normalize(entry.name).startsWith("..")) {
      throw new EngineError("CorruptArchive", `${wheel} has an entry outside its folder: ${entry.name}`, "Do not use it")
    }
    const target = join(destination, entry.name)
    await extractZipEntry(wheel, entry, target)
    if (entry.name.includes("/bin/")) chmodSync(target, 0o755)
  }
  return wanted.map((entry) => entry.name)
}

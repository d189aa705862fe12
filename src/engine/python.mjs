/**
 * What a Python on this machine can lend: its pip, or a TensorFlow that is already installed for it.
 *
 * @since 0.1.0
 */
import { complaintOf, findProgram, runProgram } from "./command.mjs"
import { EngineError } from "./EngineError.mjs"
import { oldestTensorflow } from "./versions.mjs"

/** Prints where TensorFlow is installed, without importing it (importing takes seconds). */
const locateTensorflow = `
import importlib.util, importlib.metadata, json
spec = importlib.util.find_spec("tensorflow")
places = list(spec.submodule_search_locations or []) if spec else []
def version():
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly", "tensorflow-cpu-aws"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
print(json.dumps({"folder": places[0] if places else None, "version": version() if places else None}))
`

/**
 * The command that runs pip, tried in this order: `python3 -m pip`, `pip3`, `pip`.
 *
 * @returns {Promise<ReadonlyArray<string>>}
 */
export const findPip = async () => {
  for (const command of [["python3", "-m", "pip"], ["pip3"], ["pip"]]) {
    const [name = "", ...rest] = command
    const program = findProgram(name)
    if (program !== undefined && (await runProgram(program, [...rest, "--version"])).code === 0) return [program, ...rest]
  }
  throw new EngineError(
    "NoPip",
    "pip was not found, so libtensorflow cannot be downloaded",
    "Install Python 3 with pip (for example `apt-get install python3-pip`), or name a folder with libtensorflow in ELF_STREAMS_LIBTENSORFLOW"
  )
}

/**
 * Downloads one requirement with pip, as the user configured it: index, proxy and cache are theirs.
 *
 * @param {ReadonlyArray<string>} pip
 * @param {string} requirement such as `tensorflow-cpu==2.21.0`
 * @param {ReadonlyArray<string>} target platform and Python options
 * @param {string} folder
 * @param {boolean} show whether pip may draw its progress bar
 * @returns {Promise<void>}
 */
export const pipDownload = async ([program = "", ...rest], requirement, target, folder, show) => {
  const outcome = await runProgram(program, [
    ...rest, "download", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:",
    ...target, "--dest", folder, requirement
  ], { show })
  if (outcome.code === 0) return
  throw new EngineError(
    "DownloadFailed",
    `pip could not download ${requirement}: ${complaintOf(outcome)}`,
    "Check the network and pip's configuration (`pip config list`), then try again"
  )
}

/**
 * A TensorFlow that is installed for `python3` (or `python`), when it is new enough.
 *
 * @returns {Promise<{ readonly folder: string, readonly version: string } | undefined>}
 */
export const findPythonTensorflow = async () => {
  for (const name of ["python3", "python"]) {
    const program = findProgram(name)
    if (program === undefined) continue
    const found = parseFound(await runProgram(program, ["-c", locateTensorflow]))
    if (found !== undefined && isNewEnough(found.version)) return found
  }
  return undefined
}

/** @param {import("./command.mjs").Outcome} outcome */
const parseFound = (outcome) => {
  try {
    const { folder, version } = JSON.parse(outcome.output)
    return typeof folder === "string" && typeof version === "string" ? { folder, version } : undefined
  } catch {
    return undefined
  }
}

/** @param {string} version */
const isNewEnough = (version) => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = oldestTensorflow
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)
}

/**
 * Compiling the binding between Node and libtensorflow, and trying it once in a process of its own.
 *
 * @since 0.1.0
 */
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { complaintOf, findProgram, runProgram } from "./command.mjs"
import { EngineError } from "./EngineError.mjs"
import { nativeFolder } from "./revision.mjs"

/** Node-API version that the binding is written for; every supported Node has it. */
const nodeApiVersion = 8

/**
 * The C++ compiler: `$CXX`, else g++, c++ or clang++.
 *
 * @returns {string}
 */
export const findCompiler = () => {
  const named = process.env["CXX"]
  const candidates = named === undefined || named === "" ? ["g++", "c++", "clang++"] : [named]
  const found = candidates.map(findProgram).find((path) => path !== undefined)
  if (found !== undefined) return found
  throw new EngineError(
    "NoCompiler",
    named === undefined || named === "" ? "no C++ compiler was found (g++, c++ or clang++)" : `the compiler that CXX names, ${named}, was not found`,
    "Install one (for example `apt-get install g++`) or name one in CXX"
  )
}

/**
 * The folder with `node_api.h`: of the `node-api-headers` package, else of the running Node.
 *
 * @returns {string}
 */
export const findNodeHeaders = () => {
  const own = join(dirname(process.execPath), "..", "include", "node")
  const folder = [packagedHeaders(), own].find((path) => path !== undefined && existsSync(join(path, "node_api.h")))
  if (folder !== undefined) return folder
  throw new EngineError("NoHeaders", "the headers of Node-API were not found", "Install them with `npm install node-api-headers`")
}

/** @returns {string | undefined} */
const packagedHeaders = () => {
  try {
    return join(dirname(createRequire(import.meta.url).resolve("node-api-headers/package.json")), "include")
  } catch {
    return undefined
  }
}

/** @typedef {{ readonly compiler: string, readonly headers: string }} Tools */

/**
 * Compiles `tfjs_binding.node` beside the libraries, so that it finds them (and they each other) wherever the folder goes,
 * and `hush.node`.
 *
 * @param {Tools & { readonly sources: string, readonly work: string,
 *   readonly libtensorflow: import("./libtensorflow.mjs").Libtensorflow }} options
 * @returns {Promise<string>} path of the binding
 */
export const compileBinding = async ({ compiler, headers, sources, work, libtensorflow }) => {
  const libraryFolder = join(work, "tensorflow")
  const binding = join(libraryFolder, "tfjs_binding.node")
  await compile({ compiler, headers }, binding, [
    `-I${libtensorflow.includeFolder}`, `-I${sources}`,
    join(sources, "binding", "tfjs_backend.cc"), join(sources, "binding", "tfjs_binding.cc"), ...linkFlags(work, libtensorflow)
  ])
  await compile({ compiler, headers }, join(work, "hush.node"), [join(nativeFolder, "hush.cc")])
  return binding
}

/**
 * Links with the libraries in `work/tensorflow`, which are found again beside the linked file.
 *
 * @param {string} work
 * @param {import("./libtensorflow.mjs").Libtensorflow} libtensorflow
 * @returns {ReadonlyArray<string>}
 */
export const linkFlags = (work, { libraries }) =>
  [`-L${join(work, "tensorflow")}`, ...libraries.map((name) => `-l:${name}`), "-Wl,-rpath,$ORIGIN"]

/**
 * Compiles an addon; never rejects. Of two levels of optimisation the one in `parameters` counts.
 *
 * @param {Tools} tools
 * @param {string} target
 * @param {ReadonlyArray<string>} parameters
 * @returns {Promise<import("./command.mjs").Outcome>}
 */
export const runCompiler = ({ compiler, headers }, target, parameters) => {
  const common = ["-O2", "-std=c++17", "-fPIC", "-shared", "-w", `-DNAPI_VERSION=${nodeApiVersion}`, `-I${headers}`]
  return runProgram(compiler, [...common, ...parameters, "-o", target])
}

/**
 * @param {Tools} tools
 * @param {string} target
 * @param {ReadonlyArray<string>} parameters
 * @returns {Promise<void>}
 */
const compile = async (tools, target, parameters) => {
  const outcome = await runCompiler(tools, target, parameters)
  if (outcome.code === 0) return
  throw new EngineError(
    "CompileFailed",
    `${tools.compiler} could not compile the binding to libtensorflow: ${complaintOf(outcome)}`,
    "Try another compiler by naming it in CXX (g++ 9 or newer), or another libtensorflow"
  )
}

/**
 * Loads the binding, multiplies two 2×2 matrices and prints what it found. It runs in another process: a library that does
 * not fit the machine ends the process that loads it.
 */
const selfTest = `
const binding = require(process.argv[1])
const matrix = (...values) => binding.createTensor([2, 2], binding.TF_FLOAT, Float32Array.from(values))
const attributes = ["transpose_a", "transpose_b"].map((name) => ({ name, type: binding.TF_ATTR_BOOL, value: false }))
const [product] = binding.executeOp("MatMul",
  [...attributes, { name: "T", type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT }], [matrix(1, 2, 3, 4), matrix(5, 6, 7, 8)], 1)
const right = Array.from(binding.tensorDataSync(product.id)).join() === "19,22,43,50"
console.log(JSON.stringify({ version: binding.TF_Version, gpu: binding.isUsingGpuDevice(), right }))
`

/**
 * Tries a binding in a process of its own.
 *
 * @param {string} binding
 * @returns {Promise<{ readonly version: string, readonly gpu: boolean }>}
 */
export const tryBinding = async (binding) => {
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: "2", NODE_OPTIONS: "" }
  const outcome = await runProgram(process.execPath, ["-e", selfTest, binding], { env })
  const last = outcome.output.trim().split("\n").at(-1) ?? ""
  if (outcome.code === 0 && last.startsWith("{")) {
    const { version, gpu, right } = JSON.parse(last)
    if (right) return { version, gpu }
  }
  throw new EngineError(
    "SelfTestFailed",
    `libtensorflow does not work on this machine: ${complaintOf(outcome)}`,
    "Name another libtensorflow in ELF_STREAMS_LIBTENSORFLOW"
  )
}

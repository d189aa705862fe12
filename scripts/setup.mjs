/**
 * Makes a fresh clone ready: the locked npm dependencies, then the tensor engine. Runs before `npm start` and `npm test`, on
 * Node built-ins alone, and is done in an instant where all is there.
 *
 *     node scripts/setup.mjs [--gpu | --no-gpu] [--libtensorflow DIR] [--force]
 *
 * Environment: ELF_STREAMS_ENGINE=wasm|cpu leaves libtensorflow out; ELF_STREAMS_LIBTENSORFLOW, ELF_STREAMS_GPU and
 * ELF_STREAMS_CACHE say where it comes from, for what, and where it goes.
 */
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { EngineError, install } from "../src/engine/index.mjs"
import { installDependencies, staleReason } from "./dependencies.mjs"

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** @param {string} line */
const say = (line) => void process.stdout.write(`setup: ${line}\n`)

/** @param {number} start */
const seconds = (start) => `${((performance.now() - start) / 1000).toFixed(0)} s`

const readOptions = () =>
  parseArgs({
    options: { gpu: { type: "boolean" }, libtensorflow: { type: "string" }, force: { type: "boolean" } },
    allowNegative: true
  }).values

const dependencies = async () => {
  const reason = staleReason(root)
  if (reason === undefined) return
  const start = performance.now()
  say(`installing npm dependencies (${reason})`)
  await installDependencies(root)
  say(`npm dependencies installed in ${seconds(start)}`)
}

/** @param {import("../src/engine/install.mjs").InstallOptions} options */
const engine = async (options) => {
  const named = process.env["ELF_STREAMS_ENGINE"] ?? ""
  if (named === "wasm" || named === "cpu") return
  const start = performance.now()
  let worked = false
  const log = (/** @type {string} */ line) => {
    worked = true
    say(line)
  }
  try {
    const { folder, manifest } = await install({ ...options, log, show: process.stdout.isTTY === true })
    if (worked) say(`libtensorflow ${manifest.tensorflow} is ready after ${seconds(start)}, in ${folder}`)
  } catch (error) {
    if (!(error instanceof EngineError) || named === "tensorflow") throw error
    say(`no libtensorflow: ${error.why}. ${error.remedy}. Going on with WebAssembly.`)
  }
}

// Leaving through exit() lets the engine's temporary folder be removed and running programs be stopped.
process.once("SIGINT", () => process.exit(130))
process.once("SIGTERM", () => process.exit(143))

try {
  const options = readOptions()
  await dependencies()
  await engine(options)
} catch (error) {
  process.stderr.write(`setup: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

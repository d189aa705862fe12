/**
 * Running the few programs that the set-up needs, without a shell.
 *
 * @since 0.1.0
 */
import { spawn } from "node:child_process"
import { accessSync, constants, statSync } from "node:fs"
import { delimiter, isAbsolute, join } from "node:path"

/**
 * How a program ended.
 *
 * @typedef {object} Outcome
 * @property {number} code exit code; 127 when it could not be started, 128 when a signal ended it
 * @property {string} output standard output
 * @property {string} errors standard error
 */

/** @param {string} path */
const isProgram = (path) => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/**
 * The full path of a program, or nothing when `PATH` has none of that name.
 *
 * @param {string} name
 * @returns {string | undefined}
 */
export const findProgram = (name) => {
  if (isAbsolute(name)) return isProgram(name) ? name : undefined
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "")
  return folders.map((folder) => join(folder, name)).find(isProgram)
}

/**
 * Runs a program to its end and returns what it said; never rejects.
 *
 * @param {string} program
 * @param {ReadonlyArray<string>} parameters
 * @param {{ readonly cwd?: string, readonly env?: NodeJS.ProcessEnv, readonly show?: boolean }} [options]
 *   `show` lets standard error through to the terminal, for programs with a progress bar
 * @returns {Promise<Outcome>}
 */
export const runProgram = (program, parameters, options = {}) =>
  new Promise((resolve) => {
    const child = spawn(program, [...parameters], {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      stdio: ["ignore", options.show === true ? "inherit" : "pipe", "pipe"]
    })
    let output = ""
    let errors = ""
    const stop = () => void child.kill("SIGTERM")
    process.once("exit", stop)
    child.stdout?.on("data", (chunk) => (output += chunk))
    child.stderr?.on("data", (chunk) => (errors += chunk))
    /** @param {Outcome} outcome */
    const finish = (outcome) => {
      process.removeListener("exit", stop)
      resolve(outcome)
    }
    child.on("error", (error) => finish({ code: 127, output, errors: error.message }))
    child.on("close", (code) => finish({ code: code ?? 128, output, errors }))
  })

/**
 * The last line of a program's complaint that says something.
 *
 * @param {Outcome} outcome
 * @returns {string}
 */
export const complaintOf = (outcome) => {
  const lines = `${outcome.output}\n${outcome.errors}`.split("\n").map((line) => line.trim()).filter((line) => line !== "")
  return (lines.filter((line) => /error/i.test(line)).at(-1) ?? lines.at(-1) ?? `exit code ${outcome.code}`).slice(0, 300)
}

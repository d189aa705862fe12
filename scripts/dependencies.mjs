/**
 * The npm dependencies of a checkout: are they those of the lock file, and if not, install them. Node built-ins alone.
 */
import { existsSync, readFileSync } from "node:fs"
import { basename, delimiter, dirname, join, sep } from "node:path"
import { complaintOf, findProgram, runProgram } from "../src/engine/command.mjs"

/** @typedef {{ readonly version?: string, readonly optional?: boolean }} LockedPackage */

/** @param {string} path @returns {Readonly<Record<string, LockedPackage>> | undefined} */
const packagesOf = (path) => {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages
  } catch {
    return undefined
  }
}

/**
 * Why the dependencies must be installed, or nothing when they are there.
 *
 * npm leaves its own list of what it installed in `node_modules/.package-lock.json`, as its last act; this compares that list
 * with `package-lock.json`. Optional packages may be absent: they are mostly for other platforms.
 *
 * @param {string} root folder of `package.json`
 * @returns {string | undefined}
 */
export const staleReason = (root) => {
  const locked = packagesOf(join(root, "package-lock.json"))
  const installed = packagesOf(join(root, "node_modules", ".package-lock.json"))
  if (locked === undefined) return "package-lock.json cannot be read"
  if (installed === undefined) return "not installed yet"
  const wrong = Object.entries(locked).find(([path, { optional, version }]) =>
    path !== "" && installed[path]?.version !== version && !(optional === true && installed[path] === undefined)
  )
  if (wrong !== undefined) return `${wrong[0]} is not at the locked version ${wrong[1].version}`
  return existsSync(pinnedNode(root)) ? undefined : "the pinned Node is missing"
}

/**
 * The Node that the scripts of this checkout run on.
 *
 * @param {string} root
 * @returns {string}
 */
export const pinnedNode = (root) => join(root, "node_modules", "node", "bin", "node")

/**
 * `PATH` without folders inside `node_modules`: installing replaces the Node that lies there, so it must not be the one that runs.
 *
 * @returns {string}
 */
const outerPath = () =>
  (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.split(sep).includes("node_modules")).join(delimiter)

/** @returns {string | undefined} the npm that started this script, else the one on the path */
const findNpm = () => {
  const running = process.env["npm_execpath"]
  return running !== undefined && basename(running) === "npm-cli.js" && existsSync(running) ? running : findProgram("npm")
}

/**
 * Installs the locked dependencies, without their install scripts, and then the pinned Node, whose install script is needed.
 *
 * @param {string} root
 * @returns {Promise<void>}
 */
export const installDependencies = async (root) => {
  const npm = findNpm()
  if (npm === undefined) throw new Error("npm was not found. Install it together with Node, then try again.")
  const env = { ...process.env, PATH: outerPath() }
  // A script of npm is not run directly, so that the Node it names (`/usr/bin/env node`) is the outer one in any case.
  const node = (env.PATH.split(delimiter).map((folder) => join(folder, "node")).find((path) => existsSync(path))) ?? process.execPath
  const script = npm.endsWith(".js") ? [node, npm] : [npm]
  for (const parameters of [["ci", "--ignore-scripts"], ["rebuild", "node", "--ignore-scripts=false"]]) {
    const [program = "", ...rest] = [...script, ...parameters, "--no-audit", "--no-fund", "--loglevel=error"]
    const outcome = await runProgram(program, rest, { cwd: root, env })
    if (outcome.code !== 0) throw new Error(`npm ${parameters[0]} failed: ${complaintOf(outcome)}`)
  }
  if (!existsSync(pinnedNode(root))) throw new Error(`npm did not install the pinned Node in ${dirname(pinnedNode(root))}.`)
}

/**
 * Runs tests on another version of Node than the pinned one: what touches the engine, native packages and the command line.
 *
 *     node scripts/test-on-node.mjs 22.23.3 [test/engine …]
 *
 * The Node comes from the npm package `node-PLATFORM-ARCH` and is kept below node_modules/.cache.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const [version = "22.23.3", ...tests] = process.argv.slice(2)
/** Long tests of what no Node does otherwise: the course of a training run, and bad input. The pinned Node runs them. */
const leftOut = ["distill", "trainCourse", "trainDurable", "badInput"].map((test) => `--exclude=test/cli/${test}.test.ts`)

const chosen = tests.length > 0 ? tests : [...leftOut, "test/engine", "test/cli", "test/model/tokenizer.test.ts", "test/model/forward.test.ts", "test/io/parquetRead.test.ts"]

const name = `node-${process.platform}-${process.arch}`
const folder = join(root, "node_modules", ".cache", `node-${version}`)
const bin = join(folder, "node_modules", name, "bin")
const node = join(bin, "node")

/** @param {string} program @param {ReadonlyArray<string>} parameters @param {NodeJS.ProcessEnv} [env] */
const run = (program, parameters, env = process.env) => spawnSync(program, parameters, { cwd: root, env, stdio: "inherit" }).status ?? 1

if (!existsSync(node)) {
  const status = run("npm", ["install", "--prefix", folder, "--ignore-scripts", "--no-save", "--no-package-lock", `${name}@${version}`])
  if (status !== 0) process.exit(status)
}
console.log(`Tests on Node ${version}: ${chosen.join(" ")}`)
const path = `${bin}:${process.env["PATH"] ?? ""}`
process.exitCode = run(node, [join(root, "node_modules", "vitest", "vitest.mjs"), "run", ...chosen], { ...process.env, PATH: path })

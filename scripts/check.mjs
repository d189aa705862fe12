/**
 * Everything that can be said about the code without running it: types, lint, dead code, and the package as it would be
 * published. A line for each check; what a failed one complains about follows it.
 *
 *     npm run check
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tools = join(root, "node_modules", ".bin")
const environment = { ...process.env, PATH: `${tools}${delimiter}${process.env["PATH"] ?? ""}` }
const packed = mkdtempSync(join(tmpdir(), "elf-streams-package-"))

/** Runs a program; says how it went. @param {string} name @param {string} program @param {ReadonlyArray<string>} parameters */
const check = (name, program, parameters) => {
  const start = performance.now()
  const { error, status, stderr, stdout } = spawnSync(program, parameters, { cwd: root, env: environment, encoding: "utf8" })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${status === 0 ? "✓" : "✗"} ${name} (${seconds} s)`)
  if (status !== 0) console.log(`${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`.trimEnd())
  return status === 0
}

const tarball = () => join(packed, readdirSync(packed).find((name) => name.endsWith(".tgz")) ?? "missing.tgz")

/** Each check is run, whatever the ones before it said; those of the package need the ones before them. */
const results = [
  check("types", "tsc", ["-p", "tsconfig.json"]),
  check("lint", "oxlint", ["--deny-warnings"]),
  check("dead code", "knip", []),
  check("build", process.execPath, [join(root, "scripts", "build.mjs")])
    && check("package: npm pack", "npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", packed])
    && check("package: publint", "publint", ["run", tarball(), "--strict"])
    && check("package: types as others resolve them", "attw", [tarball(), "--profile", "esm-only", "--format", "table-flipped"])
]

rmSync(packed, { recursive: true, force: true })
process.exitCode = results.every(Boolean) ? 0 : 1

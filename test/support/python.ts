/**
 * A Python with pyarrow and DuckDB, of fixed versions, in the user's cache: made once, by pip, by whoever needs it first.
 * Where that cannot be, tests that need it say so and are left out.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, it } from "vitest"
import { cacheRoot } from "../../src/engine/cache.mjs"

const packages = ["pyarrow==26.0.1", "duckdb==2.0.1"]

const folder = join(cacheRoot(), "test-python", packages.join("_").replaceAll(/[^A-Za-z0-9_.]/g, "-"))
const interpreter = (of: string) => process.platform === "win32" ? join(of, "Scripts", "python.exe") : join(of, "bin", "python")

const run = (program: string, parameters: ReadonlyArray<string>): string =>
  execFileSync(program, [...parameters], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 300_000, maxBuffer: 64 * 1024 * 1024 })

/** Made under another name first: a virtual environment that a kill left half-made must not be taken for one. */
const install = (): void => {
  const making = `${folder}.making-${process.pid}`
  try {
    mkdirSync(join(folder, ".."), { recursive: true })
    run("python3", ["-m", "venv", making])
    run(interpreter(making), ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...packages])
    renameSync(making, folder)
  } finally {
    rmSync(making, { recursive: true, force: true })
  }
}

const reasonOf = (error: unknown): string => {
  const { message, stderr } = error as { readonly message: string; readonly stderr?: string }
  return (stderr ?? message).trim().split("\n").at(-1) ?? message
}

/** Why there is none; undefined where there is one. */
const missingPython = ((): string | undefined => {
  if (existsSync(interpreter(folder))) return undefined
  process.stderr.write(`\nInstalling ${packages.join(", ")} into ${folder}, once.\n`)
  try {
    install()
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
})()

/** Registers `body` where there is a Python; elsewhere says that it is not tested. */
export const withPython = (title: string, body: () => void): void => {
  if (missingPython === undefined) return void describe(title, body)
  process.stderr.write(`\nNOT TESTED, ${title}: ${missingPython}\n`)
  describe.skip(`${title} (missing)`, () => it("is not tested", () => {}))
}

/** Runs a program; what it printed. */
export const python = (program: string, ...parameters: ReadonlyArray<string>): string => run(interpreter(folder), ["-c", program, ...parameters])

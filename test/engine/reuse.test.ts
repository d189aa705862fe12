/** An engine of another version of this package: its libraries serve again. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { type EngineError, install } from "../../src/engine/index.mjs"
import { pinnedPlatforms } from "../../src/engine/versions.mjs"
import { useSandbox } from "./sandbox.ts"

const fails = (work: Promise<unknown>): Promise<EngineError> => work.then(() => expect.unreachable(), (error: EngineError) => error)

const platform = pinnedPlatforms["linux-x64"]!
const onPinnedPlatform = process.platform === "linux" && process.arch === "x64"

describe("install", () => {
  const sandbox = useSandbox()

  it.runIf(onPinnedPlatform)("takes the libraries of an engine that another version made from the same wheel, without a download", async () => {
    sandbox.compiler()
    sandbox.program("pip3", `if [ "$1" = "--version" ]; then echo pip; exit 0; fi; exit 1`)
    const other = join(sandbox.root, "cache", "engine", "tensorflow-of-another-version")
    mkdirSync(join(sandbox.root, "cache", "engine"), { recursive: true })
    renameSync(sandbox.tensorflow("tensorflow"), join(sandbox.root, "libraries"))
    mkdirSync(other)
    renameSync(join(sandbox.root, "libraries"), join(other, "tensorflow"))
    const manifest = (sha256: string, bytes: number) =>
      writeFileSync(join(other, "manifest.json"), JSON.stringify({ revision: "another", origin: { kind: "wheel", from: "tensorflow-cpu", sha256 }, files: { "tensorflow/libtensorflow_cc.so.2": { bytes } } }))
    for (const [sha256, bytes] of [["0".repeat(64), 16], [platform.cpu.sha256, 15]] as const) {
      manifest(sha256, bytes)
      expect((await fails(install({ gpu: false }))).problem).toBe("DownloadFailed")
    }
    manifest(platform.cpu.sha256, "cc of tensorflow".length)
    const { folder, manifest: { origin } } = await install({ gpu: false })
    expect(readFileSync(join(folder, "tensorflow", "libtensorflow_cc.so.2"), "utf8")).toBe("cc of tensorflow")
    expect(existsSync(join(folder, "tensorflow", "include", "tensorflow", "c", "c_api.h"))).toBe(true)
    expect(origin).toMatchObject({ kind: "wheel", sha256: platform.cpu.sha256 })
  })
})

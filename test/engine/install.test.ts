import { createHash } from "node:crypto"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { describe, expect, it } from "vitest"
import { doctor, type EngineError, install, locate } from "../../src/engine/index.mjs"
import { findPip } from "../../src/engine/python.mjs"
import { checkTarball } from "../../src/engine/tfjs.mjs"
import { pinnedPlatforms } from "../../src/engine/versions.mjs"
import { fetchWheel } from "../../src/engine/wheel.mjs"
import { zip } from "./archives.ts"
import { useSandbox } from "./sandbox.ts"

const fails = (work: Promise<unknown>): Promise<EngineError> => work.then(() => expect.unreachable(), (error: EngineError) => error)

const platform = pinnedPlatforms["linux-x64"]!
const onPinnedPlatform = process.platform === "linux" && process.arch === "x64"

/** A pip that answers `--version` and delivers one file for every download. */
const pipThatDelivers = (file: string): string => `
if [ "$1" = "--version" ]; then echo pip; exit 0; fi
while [ "$1" != "--dest" ]; do shift; done
/bin/cp "${file}" "$2/some.whl"`

const pythonWith = (folder: string, version: string): string => `
case "$2" in *find_spec*) echo '{"folder": "${folder}", "version": "${version}"}';; *) exit 1;; esac`

describe("install", () => {
  const sandbox = useSandbox()

  it("makes a whole engine from a folder that the user names, and finds it again at once", async () => {
    sandbox.compiler()
    process.env["ELF_STREAMS_LIBTENSORFLOW"] = sandbox.tensorflow("named")
    const { binding, folder, javascript, manifest } = await install()
    expect(manifest).toMatchObject({ tensorflow: "2.21.0", device: "cpu", origin: { kind: "folder", from: join(sandbox.root, "named") } })
    expect(readFileSync(binding, "utf8")).toBe("compiled")
    expect(readFileSync(join(folder, "tensorflow", "libtensorflow_cc.so.2"), "utf8")).toBe("cc of named")
    expect(existsSync(join(javascript, "dist", "nodejs_kernel_backend.js"))).toBe(true)
    expect(sandbox.engines()).toHaveLength(1)
    rmSync(join(sandbox.root, "bin", "g++"))
    expect((await install()).folder).toBe(folder)
  })

  it("prefers the named folder to Python's TensorFlow, and that to a download", async () => {
    sandbox.compiler()
    sandbox.program("python3", pythonWith(sandbox.tensorflow("python"), "2.16.1"))
    expect((await install()).manifest.origin).toEqual({ kind: "python", from: join(sandbox.root, "python") })
    const { manifest } = await install({ libtensorflow: sandbox.tensorflow("named") })
    expect(manifest.origin).toEqual({ kind: "folder", from: join(sandbox.root, "named") })
  })

  it.runIf(onPinnedPlatform)("goes on to the pinned wheel when Python's TensorFlow is too old or does not serve", async () => {
    sandbox.compiler()
    for (const [folder, version] of [[sandbox.tensorflow("old"), "2.11.0"], [join(sandbox.root, "empty"), "2.20.0"]] as const) {
      sandbox.program("python3", pythonWith(folder, version))
      expect((await fails(install())).problem).toBe("NoPip")
    }
  })

  it("says which folder cannot serve and what it lacks", async () => {
    sandbox.compiler()
    mkdirSync(join(sandbox.root, "empty"))
    const error = await fails(install({ libtensorflow: join(sandbox.root, "empty") }))
    expect(error.problem).toBe("UnusableFolder")
    expect(error.message).toContain("libtensorflow_cc.so.2")
    expect(sandbox.engines()).toEqual([])
  })

  it("stops before any download where there is no compiler", async () => {
    const error = await fails(install())
    expect(error.problem).toBe("NoCompiler")
    expect(error.remedy).toContain("apt-get install g++")
    expect(error.why).not.toContain("\n")
  })

  it("names the compiler that CXX asks for and that is not there", async () => {
    process.env["CXX"] = "no-such-compiler"
    expect((await fails(install())).why).toContain("no-such-compiler")
  })

  it.runIf(onPinnedPlatform)("says that pip is missing, and leaves nothing behind", async () => {
    sandbox.compiler()
    expect((await fails(install())).problem).toBe("NoPip")
    expect(sandbox.engines()).toEqual([])
  })

  it.runIf(onPinnedPlatform)("refuses a wheel with another sha256, and leaves nothing behind", async () => {
    sandbox.compiler()
    const wheel = join(sandbox.root, "other.whl")
    writeFileSync(wheel, zip([{ name: "tensorflow/libtensorflow_cc.so.2", content: "not the pinned one" }]))
    sandbox.program("pip3", pipThatDelivers(wheel))
    const error = await fails(install())
    expect(error.problem).toBe("ChecksumMismatch")
    expect(error.why).toContain(platform.cpu.sha256)
    expect(sandbox.engines()).toEqual([])
  })

  it("unpacks of a wheel with the right sha256 only the needed files", async () => {
    const bytes = zip([
      { name: "tensorflow/libtensorflow_cc.so.2", content: "cc" },
      { name: "tensorflow/include/tensorflow/c/c_api.h", content: "h" },
      { name: "tensorflow/python/large.so", content: "not needed" }
    ])
    const wheel = join(sandbox.root, "right.whl")
    writeFileSync(wheel, bytes)
    sandbox.program("pip", pipThatDelivers(wheel))
    const pinned = { project: "tensorflow-cpu", version: "2.21.0", sha256: createHash("sha256").update(bytes).digest("hex") }
    const target = join(sandbox.root, "target")
    mkdirSync(target)
    await fetchWheel(pinned, platform, await findPip(), target, false)
    expect(readFileSync(join(target, "tensorflow", "libtensorflow_cc.so.2"), "utf8")).toBe("cc")
    expect(existsSync(join(target, "tensorflow", "include", "tensorflow", "c", "c_api.h"))).toBe(true)
    expect(existsSync(join(target, "tensorflow", "python"))).toBe(false)
  })

  it("refuses a package of tfjs with another integrity", () => {
    expect(() => checkTarball(Buffer.from("something else"))).toThrow(/expected sha512-/)
  })

  it("passes on what the compiler complained about", async () => {
    sandbox.compiler()
    sandbox.program("g++", "echo 'x.cc:1: fatal error: c_api.h: No such file' >&2; exit 1")
    const error = await fails(install({ libtensorflow: sandbox.tensorflow("named") }))
    expect(error.problem).toBe("CompileFailed")
    expect(error.why).toContain("fatal error: c_api.h")
    expect(sandbox.engines()).toEqual([])
  })

  it("does not publish an engine that fails its trial", async () => {
    sandbox.compiler()
    process.execPath = sandbox.program("crashes", "echo 'Illegal instruction' >&2; exit 132")
    const error = await fails(install({ libtensorflow: sandbox.tensorflow("named") }))
    expect(error.problem).toBe("SelfTestFailed")
    expect(error.why).toContain("Illegal instruction")
    expect(sandbox.engines()).toEqual([])
  })

  it("makes an engine again when one of its files was cut short", async () => {
    sandbox.compiler()
    const folder = sandbox.tensorflow("named")
    const { binding } = await install({ libtensorflow: folder })
    truncateSync(binding, 3)
    expect(locate({ folder })).toBeUndefined()
    expect(readFileSync((await install({ libtensorflow: folder })).binding, "utf8")).toBe("compiled")
    expect(sandbox.engines()).toHaveLength(1)
  })
})

describe("an interrupted or concurrent installation", () => {
  const sandbox = useSandbox()
  const { execPath } = process
  const module = pathToFileURL(join(import.meta.dirname, "../../src/engine/index.mjs")).href

  /** Another process that installs from the named folder; its fake Node is that of the sandbox. */
  const installer = (folder: string) =>
    spawn(execPath, ["--input-type=module", "-e", `
      import { install } from ${JSON.stringify(module)}
      process.execPath = ${JSON.stringify(join(sandbox.root, "node"))}
      const { folder } = await install({ libtensorflow: ${JSON.stringify(folder)} })
      console.log(folder)`], { env: process.env, stdio: ["ignore", "pipe", "inherit"] })

  const until = async (condition: () => boolean): Promise<void> => {
    for (let tries = 0; !condition() && tries < 200; tries++) await sleep(25)
    expect(condition()).toBe(true)
  }

  it("leaves no engine, and the next one removes what is left", async () => {
    sandbox.compiler()
    const folder = sandbox.tensorflow("named")
    const started = join(sandbox.root, "started")
    sandbox.program("g++", `printf x > ${started}; exec /bin/sleep 30`)
    const child = installer(folder)
    await until(() => existsSync(started))
    child.kill("SIGKILL")
    await once(child, "exit")
    expect(sandbox.engines()).toEqual([expect.stringMatching(/^\.making-/)])
    expect(locate({ folder })).toBeUndefined()
    sandbox.compiler()
    const { folder: made } = await install({ libtensorflow: folder })
    expect(sandbox.engines().map((name) => join(sandbox.root, "cache", "engine", name))).toEqual([made])
  })

  it("ends with one whole engine that both use", async () => {
    sandbox.compiler()
    const folder = sandbox.tensorflow("named")
    const outputs = await Promise.all([1, 2, 3].map(async () => {
      const child = installer(folder)
      let output = ""
      child.stdout.on("data", (chunk) => (output += chunk))
      await once(child, "close")
      return output.trim()
    }))
    expect(new Set(outputs)).toEqual(new Set([locate({ folder })?.folder]))
    expect(sandbox.engines()).toHaveLength(1)
  })
})

describe("doctor", () => {
  const sandbox = useSandbox()

  it("lists what a bare machine lacks, each with its remedy", async () => {
    const report = await doctor()
    expect(report).toMatchObject({ engine: "wasm", device: "cpu", threads: 1, node: process.versions.node, folder: null })
    expect(report.missing.map(({ what }) => what)).toEqual(["C++ compiler", "pip"])
    expect(report.missing.every(({ remedy, why }) => remedy.length > 0 && why.length > 0)).toBe(true)
  })

  it.runIf(onPinnedPlatform)("asks for the engine alone where all it needs is there", async () => {
    sandbox.compiler()
    sandbox.program("pip", "exit 0")
    expect((await doctor()).missing).toEqual([expect.objectContaining({ what: "tensor engine", remedy: "elf engine install" })])
  })

  it("reports the installed engine, and one that no longer works", async () => {
    sandbox.compiler()
    process.env["ELF_STREAMS_LIBTENSORFLOW"] = sandbox.tensorflow("named")
    process.env["ELF_STREAMS_THREADS"] = "3"
    const { folder } = await install()
    expect(await doctor()).toMatchObject({ engine: "tensorflow", version: "2.21.0", threads: 3, folder, missing: [] })
    process.execPath = sandbox.program("crashes", "exit 1")
    expect(await doctor()).toMatchObject({ engine: "wasm", missing: [{ what: "tensor engine" }] })
  })

  it("says when ELF_STREAMS_ENGINE names no engine", async () => {
    process.env["ELF_STREAMS_ENGINE"] = "webgl"
    expect((await doctor()).missing[0]).toMatchObject({ what: "ELF_STREAMS_ENGINE" })
  })
})

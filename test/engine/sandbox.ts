/**
 * A machine made of shell scripts: a cache, a PATH and a libtensorflow of their own, for tests of the installation.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { afterEach, beforeAll, beforeEach } from "vitest"
import { installedTfjs, tfjsTarball } from "../../src/engine/tfjs.mjs"

export interface Sandbox {
  /** The folder of everything. */
  readonly root: string
  /** Puts an executable `/bin/sh` script on the PATH, which holds nothing else. */
  readonly program: (name: string, script: string) => string
  /** A folder that looks like the `tensorflow` of an unpacked wheel. */
  readonly tensorflow: (name: string) => string
  /** A compiler that writes its output file, and a Node that says the binding works. */
  readonly compiler: (version?: string) => void
  /** What lies in the cache: engines, and unfinished work. */
  readonly engines: () => ReadonlyArray<string>
}

const variables = [
  "PATH", "CXX", "ELF_STREAMS_CACHE", "ELF_STREAMS_ENGINE", "ELF_STREAMS_LIBTENSORFLOW", "ELF_STREAMS_GPU", "ELF_STREAMS_THREADS",
  "ELF_STREAMS_KERNELS", "TF_NUM_INTRAOP_THREADS", "XDG_CACHE_HOME"
] as const

const script = (path: string, text: string): string => {
  writeFileSync(path, `#!/bin/sh\n${text}\n`)
  chmodSync(path, 0o755)
  return path
}

/** Called in a `describe`: gives each test a fresh sandbox and restores the process afterwards. */
export const useSandbox = (): Sandbox => {
  const saved = Object.fromEntries(variables.map((name) => [name, process.env[name]]))
  const { execPath } = process
  const state: { root: string; tarball?: string } = { root: "" }

  /** The sources of the binding come from the user's cache, where they are once an engine was installed. */
  beforeAll(async () => {
    if (installedTfjs() === undefined) state.tarball = await tfjsTarball(() => {})
  })

  beforeEach(() => {
    state.root = mkdtempSync(join(tmpdir(), "engine-"))
    mkdirSync(join(state.root, "bin"))
    for (const name of variables) delete process.env[name]
    process.env["PATH"] = join(state.root, "bin")
    process.env["ELF_STREAMS_CACHE"] = join(state.root, "cache")
    if (state.tarball === undefined) return
    const kept = join(state.root, "cache", "downloads", basename(state.tarball))
    mkdirSync(dirname(kept), { recursive: true })
    copyFileSync(state.tarball, kept)
  })

  afterEach(() => {
    for (const [name, value] of Object.entries(saved)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    process.execPath = execPath
    rmSync(state.root, { recursive: true, force: true })
  })

  const program = (name: string, text: string) => script(join(state.root, "bin", name), text)

  return {
    get root() {
      return state.root
    },
    program,
    tensorflow: (name) => {
      const folder = join(state.root, name)
      mkdirSync(join(folder, "include", "tensorflow", "c"), { recursive: true })
      writeFileSync(join(folder, "include", "tensorflow", "c", "c_api.h"), "")
      writeFileSync(join(folder, "libtensorflow_cc.so.2"), `cc of ${name}`)
      writeFileSync(join(folder, "libtensorflow_framework.so.2"), `framework of ${name}`)
      return folder
    },
    compiler: (version = "2.21.0") => {
      program("g++", `while [ "$1" != "-o" ]; do shift; done; printf compiled > "$2"`)
      process.execPath = script(join(state.root, "node"), `echo '{"version":"${version}","gpu":false,"right":true}'`)
    },
    engines: () => {
      try {
        return readdirSync(join(state.root, "cache", "engine"))
      } catch {
        return []
      }
    }
  }
}

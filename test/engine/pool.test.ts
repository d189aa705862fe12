/** The threads of the kernels, compiled by themselves: what memory that runs out would show only now and then. */
import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { findCompiler } from "../../src/engine/compile.mjs"

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

it("loops take each part once and give an exception of any thread to the caller, when none works any more", { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "elf-pool-"))
  try {
    const program = join(folder, "pool")
    const native = path("../../src/engine/native")
    execFileSync(findCompiler(), ["-std=c++17", "-O2", "-pthread", `-I${native}`, path("native/pool.cc"), join(native, "pool.cc"), "-o", program])
    assert.strictEqual(execFileSync(program, { encoding: "utf8", stdio: "pipe" }), "")
  } finally {
    rmSync(folder, { recursive: true })
  }
})

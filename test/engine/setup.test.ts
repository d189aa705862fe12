import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { installDependencies, pinnedNode, staleReason } from "../../scripts/dependencies.mjs"
import { useSandbox } from "./sandbox.ts"

const locked = { "": {}, "node_modules/effect": { version: "4.1.0" }, "node_modules/fsevents": { version: "2.0.0", optional: true } }

const checkout = (installed: object | undefined, node = true): string => {
  const root = mkdtempSync(join(tmpdir(), "checkout-"))
  writeFileSync(join(root, "package-lock.json"), JSON.stringify({ packages: locked }))
  if (node) {
    mkdirSync(dirname(pinnedNode(root)), { recursive: true })
    writeFileSync(pinnedNode(root), "")
  }
  mkdirSync(join(root, "node_modules"), { recursive: true })
  if (installed !== undefined) writeFileSync(join(root, "node_modules/.package-lock.json"), JSON.stringify({ packages: installed }))
  return root
}

describe("staleReason", () => {
  it("finds nothing to do where the lock file's packages are installed; optional ones may be absent", () => {
    expect(staleReason(checkout({ "node_modules/effect": { version: "4.1.0" } }))).toBeUndefined()
  })

  it.each([
    ["nothing is installed", undefined, true, "not installed yet"],
    ["a package is absent", {}, true, "node_modules/effect is not at the locked version 4.1.0"],
    ["a package is older", { "node_modules/effect": { version: "4.0.0" } }, true, "node_modules/effect is not at the locked version 4.1.0"],
    ["an optional one is older", { "node_modules/effect": { version: "4.1.0" }, "node_modules/fsevents": { version: "1.0.0" } }, true, "node_modules/fsevents is not at the locked version 2.0.0"],
    ["Node is absent", { "node_modules/effect": { version: "4.1.0" } }, false, "the pinned Node is missing"]
  ])("says why when %s", (_, installed, node, reason) => {
    expect(staleReason(checkout(installed, node))).toBe(reason)
  })
})

describe("installDependencies", () => {
  const sandbox = useSandbox()

  it("installs what is locked without scripts, then Node with its own", async () => {
    const root = checkout(undefined, false)
    delete process.env["npm_execpath"]
    sandbox.program("npm", `echo "$*" >> ${root}/calls; /bin/mkdir -p ${root}/node_modules/node/bin; : > ${pinnedNode(root)}`)
    await installDependencies(root)
    expect(readFileSync(join(root, "calls"), "utf8").split("\n").slice(0, 2)).toEqual([
      "ci --ignore-scripts --no-audit --no-fund --loglevel=error",
      "rebuild node --ignore-scripts=false --no-audit --no-fund --loglevel=error"
    ])
  })

  it("passes on what npm complained about", async () => {
    delete process.env["npm_execpath"]
    sandbox.program("npm", "echo 'npm error network timeout' >&2; exit 1")
    await expect(installDependencies(checkout(undefined))).rejects.toThrow("npm ci failed: npm error network timeout")
  })
})

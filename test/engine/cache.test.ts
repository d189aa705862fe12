import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs"
import { homedir, hostname } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { cacheRoot, enginesRoot, makeTemporary, publish, removeStale } from "../../src/engine/cache.mjs"
import { useSandbox } from "./sandbox.ts"

const machine = hostname().replaceAll(/[^A-Za-z0-9]/g, "_")
const isWhole = (path: string) => existsSync(join(path, "whole"))

const folder = (name: string, age = 0): string => {
  const path = join(enginesRoot(), name)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, "part"), name)
  const then = Date.now() / 1000 - age
  utimesSync(path, then, then)
  return path
}

const finished = (mark: string, whole = true): string => {
  const { path } = makeTemporary()
  writeFileSync(join(path, "mark"), mark)
  if (whole) writeFileSync(join(path, "whole"), "")
  return path
}

describe("cache", () => {
  const sandbox = useSandbox()

  it("lies where ELF_STREAMS_CACHE, XDG_CACHE_HOME or the home folder says, in this order", () => {
    expect(cacheRoot()).toBe(join(sandbox.root, "cache"))
    delete process.env["ELF_STREAMS_CACHE"]
    process.env["XDG_CACHE_HOME"] = "/some/where"
    expect(cacheRoot()).toBe("/some/where/elf-streams")
    process.env["XDG_CACHE_HOME"] = "relative/is/ignored"
    expect(cacheRoot()).toBe(join(homedir(), ".cache", "elf-streams"))
  })

  it("moves a finished folder into place in one step", () => {
    const place = publish(finished("first"), "engine", isWhole)
    expect(readFileSync(join(place, "mark"), "utf8")).toBe("first")
    expect(sandbox.engines()).toEqual(["engine"])
  })

  it("keeps the winner's folder when two installers finish", () => {
    publish(finished("winner"), "engine", isWhole)
    const place = publish(finished("loser"), "engine", isWhole)
    expect(readFileSync(join(place, "mark"), "utf8")).toBe("winner")
  })

  it("replaces a broken folder of that name", () => {
    publish(finished("broken", false), "engine", isWhole)
    const place = publish(finished("mended"), "engine", isWhole)
    expect(readFileSync(join(place, "mark"), "utf8")).toBe("mended")
    expect(sandbox.engines()).toEqual(["engine"])
  })

  it("removes what a dead process or a very old one left, and nothing else", () => {
    const dead = spawnSync("/bin/true").pid
    const stale = [folder(`.making-${machine}-${dead}-aaaaaa`), folder(`.making-elsewhere-1-bbbbbb`, 7 * 3600)]
    const kept = [folder(`.making-${machine}-${process.pid}-cccccc`), folder(`.making-elsewhere-${dead}-dddddd`), folder("engine")]
    expect([...removeStale()].sort()).toEqual(stale.sort())
    expect(stale.some((path) => existsSync(path))).toBe(false)
    expect(kept.every((path) => existsSync(path))).toBe(true)
  })
})

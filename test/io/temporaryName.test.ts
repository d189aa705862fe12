import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync, utimesSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { pathToFileURL } from "node:url"
import { isTemporaryName, removeLeft, temporaryName } from "../../src/io/temporaryName.ts"
import { inFolder } from "./support.ts"

const atomicFile = pathToFileURL(join(import.meta.dirname, "../../src/io/atomicFile.ts")).href

/** A process that has begun to write `path` and never ends. */
const writerOf = async (path: string) => {
  const script = `
    import { Effect } from "effect"
    import { writeAtomically } from ${JSON.stringify(atomicFile)}
    const body = (file) => Effect.andThen(file.append(new Uint8Array(9)), Effect.andThen(Effect.sync(() => console.log("begun")), Effect.never))
    setInterval(() => {}, 1e6)
    Effect.runFork(writeAtomically(${JSON.stringify(path)}, (error) => error, body))`
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", "pipe", "inherit"], cwd: import.meta.dirname })
  await once(child.stdout, "data")
  return child
}

const kill = async (child: Awaited<ReturnType<typeof writerOf>>) => {
  const closed = once(child, "close")
  child.kill("SIGKILL")
  await closed
}

const unfinished = (folder: string) => readdirSync(folder).filter(isTemporaryName)

describe("unfinished files", () => {
  it.effect("of a killed process go, of one that lives stay", () =>
    inFolder((folder) => Effect.gen(function*() {
      const [living, dead] = yield* Effect.promise(() => Promise.all([writerOf(join(folder, "living.parquet")), writerOf(join(folder, "dead.parquet"))]))
      try {
        assert.strictEqual((yield* removeLeft(folder)).length, 0)
        yield* Effect.promise(() => kill(dead))
        const removed = yield* removeLeft(folder)
        assert.deepStrictEqual(removed.map((name) => name.slice(0, 6)), [".dead."])
        assert.deepStrictEqual(unfinished(folder).map((name) => name.slice(0, 8)), [".living."])
      } finally {
        yield* Effect.promise(() => kill(living))
      }
    })))

  it.effect("of another machine stay until nobody has touched them for a day", () =>
    inFolder((folder) => Effect.gen(function*() {
      const own = temporaryName(join(folder, "x.parquet"))
      // The same process number elsewhere says nothing about the process here; nor does a name that is not ours.
      const elsewhere = (name: string) => join(folder, basename(own).replace("x.parquet", name).replace(/\.[0-9a-f]{6}-(\d+)-/, ".0a1b2c-$1-"))
      const [fresh, old, odd, oddOld] = [elsewhere("fresh"), elsewhere("old"), join(folder, ".odd.123-abcdef01.partial"), join(folder, ".older.123-abcdef01.partial")]
      for (const path of [own, fresh, old, odd, oddOld, join(folder, "whole.parquet"), join(folder, ".hidden")]) writeFileSync(path, "")
      const before = new Date(Date.now() - 25 * 3600 * 1000)
      for (const path of [old, oddOld]) utimesSync(path, before, before)
      const removed = yield* removeLeft(folder)
      assert.deepStrictEqual(removed.toSorted(), [old, oddOld].map((path) => basename(path)).toSorted())
      for (const path of [own, fresh, odd, join(folder, "whole.parquet"), join(folder, ".hidden")]) assert.isTrue(existsSync(path), path)
      assert.deepStrictEqual(yield* removeLeft(join(folder, "absent")), [])
    })))
})

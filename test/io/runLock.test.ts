import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { acquireRunLock, RunLockedError } from "../../src/io/index.ts"
import { inFolder } from "./support.ts"

const held = (folder: string) => Effect.scoped(acquireRunLock(folder))
const lockOf = (folder: string) => join(folder, "run.lock")
const ownerOf = (folder: string) => JSON.parse(readFileSync(lockOf(folder), "utf8")) as Record<string, unknown>

/** A lock that somebody else wrote: this process's with some fields changed. */
const plant = Effect.fnUntraced(function*(folder: string, change: Record<string, unknown>, touchedSecondsAgo = 0) {
  const mine = yield* Effect.scoped(Effect.as(acquireRunLock(folder), 0).pipe(Effect.map(() => ownerOf(folder))))
  writeFileSync(lockOf(folder), JSON.stringify({ ...mine, token: "theirs", ...change }))
  const touched = Date.now() / 1000 - touchedSecondsAgo
  utimesSync(lockOf(folder), touched, touched)
})

/** The number of a process that has ended. */
const deadPid = (): number => spawnSync(process.execPath, ["-e", ""]).pid

describe("acquireRunLock", () => {
  it.effect("the second is refused and told who holds it since when; the folder is free afterwards", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const run = join(folder, "new", "run")
        yield* Effect.scoped(Effect.gen(function*() {
          const { check } = yield* acquireRunLock(run)
          const error = yield* Effect.flip(held(run))
          assert.instanceOf(error, RunLockedError)
          assert.deepInclude({ ...error }, { folder: run, pid: process.pid })
          assert.match(error.message, new RegExp(`^Process ${process.pid} on \\S+ has been at work in .* for \\d+ s \\(last sign of life \\d+ s ago\\)`))
          yield* check
        }))
        assert.deepStrictEqual(readdirSync(run), [])
        yield* held(run)
      })))
  it.effect("of many at once exactly one gets it, also where all find a stale one", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        for (const stale of [false, true]) {
          if (stale) yield* plant(folder, { pid: deadPid() })
          const release = yield* Deferred.make<void>()
          const fibers = yield* Effect.forEach(Array.from({ length: 8 }), () =>
            Effect.forkChild(Effect.exit(Effect.scoped(Effect.andThen(acquireRunLock(folder), Deferred.await(release))))))
          const losers = Effect.suspend(() => Effect.succeed(fibers.filter((fiber) => fiber.pollUnsafe() !== undefined).length))
          while ((yield* losers) < 7) yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))
          yield* Deferred.succeed(release, undefined)
          const exits = yield* Effect.forEach(fibers, Fiber.join)
          assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
          assert.deepStrictEqual(readdirSync(folder), [])
        }
      })))
  it.effect("a dead owner's lock is taken over: ended, killed, or another process under its number", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        for (const change of [{ pid: deadPid() }, ...(process.platform === "linux" ? [{ started: "1" }] : [])]) {
          yield* plant(folder, change)
          yield* held(folder)
          assert.isFalse(existsSync(lockOf(folder)))
        }
      })))
  it.effect("another machine's is respected until it has been silent for long; so is one that nobody can read", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        for (const change of [{ host: "elsewhere", pid: deadPid() }, { namespace: "pid:[1]" }, { pid: "rubbish" }]) {
          yield* plant(folder, change, 500)
          const error = yield* Effect.flip(held(folder))
          assert.instanceOf(error, RunLockedError)
          assert.isAtLeast(error.silent, 499)
          yield* plant(folder, change, 700).pipe(Effect.catch(() => Effect.sync(() => utimesSync(lockOf(folder), Date.now() / 1000 - 700, Date.now() / 1000 - 700))))
          yield* held(folder)
        }
      })))
  it.live("an owner shows that it lives, notices when its lock is gone, and leaves another's alone", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const { check } = yield* acquireRunLock(folder, { touchEvery: 0.02 })
          utimesSync(lockOf(folder), 1000, 1000)
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 200)))
          const error = yield* Effect.flip(held(folder))
          assert.isBelow((error as RunLockedError).silent, 100)
          writeFileSync(lockOf(folder), JSON.stringify({ ...ownerOf(folder), token: "theirs" }))
          assert.instanceOf(yield* Effect.flip(check), RunLockedError)
        }))
        assert.strictEqual(ownerOf(folder)["token"], "theirs")
      })))
})

/** `elf train` as processes that are killed, asked to end, and get in each other's way. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { killTraining } from "../../bench/reliability/killedTraining.ts"
import { writeTinyData } from "../../bench/reliability/tinyTraining.ts"
import { Checkpoint } from "../../src/io/index.ts"
import { temporaryFolder } from "../support/temporary.ts"
import { elf } from "./process.ts"
import { tinyFolder, writeRunFile } from "./tinyRun.ts"

describe("elf train", () => {
  it.effect("killed ten times, half of them inside a checkpoint's write, and looking ahead in other ways, ends as if undisturbed", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* writeTinyData(folder)
      const outcome = yield* Effect.promise(() => killTraining({ folder, kills: 10, killsOfRun: 10, steps: 8, seed: 5, say: () => undefined }))
      assert.isAtLeast(outcome.kills, 10)
      assert.isAbove(outcome.inWrite, 2)
      assert.strictEqual(outcome.equal, outcome.runs)
    })), 240_000)

  it.effect("keeps a second process out of its folder; asked to end, it saves its last step and exits with 143", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const file = yield* writeRunFile(folder, "run.json", { optimizer: { steps: 100_000 }, checkpoint: { every: 100_000 }, log: { every: 1 } })
      let end = () => {}
      const ending = new Promise<void>((resolve) => (end = resolve))
      const first = yield* Effect.forkChild(Effect.promise(() => elf(["train", file], { interruptWhen: ending, signal: "SIGTERM" })))
      const log = join(folder, "run", "metrics.jsonl")
      while (!existsSync(log) || statSync(log).size === 0) yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      const second = yield* Effect.promise(() => elf(["train", file, "--json"]))
      assert.strictEqual(second.code, 1)
      assert.deepInclude((JSON.parse(second.stdout) as { readonly error: object }).error, { _tag: "RunLockedError", folder: join(folder, "run") })
      end()
      const { code, stderr } = yield* Fiber.join(first)
      assert.strictEqual(code, 143, stderr)
      const { path, step } = yield* Checkpoint.read(join(folder, "run"))
      assert.include(stderr, `interrupted; go on from ${path} with --resume`)
      const last = Number(stderr.match(/step (\d+)\//g)!.at(-1)!.match(/\d+/)![0])
      assert.strictEqual(step, last)
    })), 120_000)
})

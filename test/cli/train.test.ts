import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { Checkpoint, type RunConfig } from "../../src/io/index.ts"
import { elf } from "./process.ts"
import { tensorsOf } from "./tensors.ts"
import { tinyFolder, writeRunFile } from "./tinyRun.ts"

const run = (...arguments_: ReadonlyArray<string>) => Effect.promise(() => elf(arguments_))

describe("elf train", () => {
  it.effect("trains, logs every step and says where the checkpoint is", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const { code, stderr, stdout } = yield* run("train", yield* writeRunFile(folder, "run.json"), "--json")
      assert.strictEqual(code, 0, stderr)
      assert.include(JSON.parse(stdout), { steps: 6, checkpoint: join(folder, "run", "step-00000006") })
      const lines = (yield* Effect.promise(() => readFile(join(folder, "run", "metrics.jsonl"), "utf8"))).trim().split("\n")
      assert.deepStrictEqual(lines.map((line) => (JSON.parse(line) as { step: number }).step), [1, 2, 3, 4, 5, 6])
    })), 60_000)

  it.effect("a run measured in epochs takes the steps that they have, and says so in its checkpoint", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const file = yield* writeRunFile(folder, "run.json", {
        data: { epochs: 1, conditionColumn: "text" },
        optimizer: { steps: undefined, warmupSteps: undefined, warmupEpochs: 0.5, gradientAccumulation: 2 }
      })
      const { code, stderr, stdout } = yield* run("train", file, "--json")
      assert.strictEqual(code, 0, stderr)
      // 16 pairs, 4 a batch, 2 batches an update.
      assert.include(JSON.parse(stdout), { steps: 4 })
      const { configuration } = yield* Checkpoint.read(join(folder, "run"))
      assert.deepInclude((configuration as RunConfig.RunConfig).optimizer, { steps: 2, warmupSteps: 1 })
    })), 60_000)

  it.effect("a run that stopped and went on equals one that did not, bit for bit", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const whole = yield* writeRunFile(folder, "whole.json", { checkpoint: { directory: "whole" } })
      const parts = yield* writeRunFile(folder, "parts.json", { checkpoint: { directory: "parts" }, log: { file: "parts/metrics.jsonl" } })
      assert.strictEqual((yield* run("train", whole)).code, 0)
      const stopped = yield* Effect.promise(() => elf(["train", parts], { interruptAt: "step 4/6" }))
      assert.strictEqual(stopped.code, 130, stopped.stderr)
      const resumed = yield* run("train", parts, "--resume")
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      assert.deepStrictEqual(yield* tensorsOf(join(folder, "parts")), yield* tensorsOf(join(folder, "whole")))
    })), 90_000)

  it.effect("an interruption exits with 130 and leaves no temporary file", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const file = yield* writeRunFile(folder, "run.json", { optimizer: { steps: 500 }, checkpoint: { every: 1, keep: 2 } })
      const { code } = yield* Effect.promise(() => elf(["train", file], { interruptAt: "step 3/500" }))
      assert.strictEqual(code, 130)
      const names = yield* Effect.promise(() => readdir(join(folder, "run")))
      assert.isTrue(names.every((name) => /^(step-\d{8}|latest|metrics\.jsonl)$/.test(name)), names.join(" "))
      assert.isAtLeast((yield* Checkpoint.read(join(folder, "run"))).step, 2)
    })), 60_000)

  it.effect("refuses to mix its checkpoints with an earlier run's", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const file = yield* writeRunFile(folder, "run.json", { optimizer: { steps: 1, warmupSteps: 0 } })
      assert.strictEqual((yield* run("train", file)).code, 0)
      const again = yield* run("train", file)
      assert.strictEqual(again.code, 1)
      assert.include(again.stderr, "--resume")
    })), 60_000)
})

/** `elf train` in several processes: the same run as in one, and none of them outlives it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { checkGroup } from "../../src/cli/group.ts"
import { freeAddresses } from "../../src/cli/workers.ts"
import { Checkpoint } from "../../src/io/index.ts"
import { elf, startElf } from "./process.ts"
import { tensorsOf } from "./tensors.ts"
import { tinyFolder, writeRunFile } from "./tinyRun.ts"

const run = (...arguments_: ReadonlyArray<string>) => Effect.promise(() => elf(arguments_))

const steps = 14

const runNamed = (folder: string, name: string, changes: Record<string, Record<string, unknown>> = {}) =>
  writeRunFile(folder, `${name}.json`, {
    optimizer: { steps },
    checkpoint: { directory: name, every: 5 },
    log: { file: `${name}/metrics.jsonl` },
    ...changes
  })

const succeeds = Effect.fnUntraced(function*(...arguments_: ReadonlyArray<string>) {
  const { code, stderr } = yield* run(...arguments_)
  assert.strictEqual(code, 0, stderr)
})

interface Line {
  readonly step: number
  readonly loss: number
  readonly tokens: number
}

const metricsOf = (folder: string): ReadonlyArray<Line> =>
  readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line) as Line)

/** Losses of every step, to what rounding in another order makes of them. */
const assertSameLosses = (one: ReadonlyArray<Line>, other: ReadonlyArray<Line>) => {
  assert.deepStrictEqual(one.map(({ step, tokens }) => [step, tokens]), other.map(({ step, tokens }) => [step, tokens]))
  one.forEach(({ loss, step }, i) => assert.approximately(loss, other[i]!.loss, 2e-3 * other[i]!.loss, `loss of step ${step}`))
}

/** Processes whose parent is `pid`. */
const childrenOf = (pid: number): ReadonlyArray<number> =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((each) => parentOf(each) === pid)

const parentOf = (pid: number): number | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])
  } catch {
    return undefined
  }
}

const isGone = (pid: number): boolean => parentOf(pid) === undefined

/** Waits until all are gone; fails after ten seconds. */
const allGone = async (pids: ReadonlyArray<number>): Promise<void> => {
  assert.isAbove(pids.length, 0)
  for (let left = 100; !pids.every(isGone); left--) {
    assert.isAbove(left, 0, `still there after ten seconds: ${pids.filter((pid) => !isGone(pid)).join()}`)
    await sleep(100)
  }
}

describe("elf train --workers", () => {
  it.effect("gives the losses of one process; a run goes on in another number of them", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      yield* succeeds("train", yield* runNamed(folder, "alone"))
      const file = yield* runNamed(folder, "group")
      const stopped = yield* Effect.promise(() => elf(["train", file, "--workers", "3"], { interruptAt: "step 2/" }))
      assert.strictEqual(stopped.code, 130, stopped.stderr)
      assert.notInclude(stopped.stderr, "error")
      const { step } = yield* Checkpoint.read(join(folder, "group"))
      assert.isTrue(step >= 2 && step < steps, `stopped at step ${step}`)
      yield* succeeds("train", file, "--resume")
      assertSameLosses(metricsOf(join(folder, "group")), metricsOf(join(folder, "alone")))
    })), 120_000)

  it.effect("a killed rank ends the run with its name, nothing is lost, and it goes on bit for bit", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      yield* succeeds("train", yield* runNamed(folder, "whole"), "--workers", "2")
      const file = yield* runNamed(folder, "broken")
      const running = startElf(["train", file, "--workers", "2"])
      yield* Effect.promise(() => running.said("step 3/"))
      const [worker] = childrenOf(running.pid)
      process.kill(worker!, "SIGKILL")
      const { code, stderr } = yield* Effect.promise(() => Promise.race([running.finished, sleep(10_000, { code: "none after ten seconds", stderr: "" })]))
      assert.strictEqual(code, 1, stderr)
      assert.match(stderr, /error: Rank 1 \(127\.0\.0\.1:\d+\) was lost: it was ended by SIGKILL/)
      const { step } = yield* Checkpoint.read(join(folder, "broken"))
      assert.isAtLeast(step, 3)
      assert.strictEqual(metricsOf(join(folder, "broken")).at(-1)!.step, step)
      yield* succeeds("train", file, "--workers", "2", "--resume")
      assert.deepStrictEqual(yield* tensorsOf(join(folder, "broken")), yield* tensorsOf(join(folder, "whole")))
    })), 120_000)

  it.effect("no process is left where the first one was killed", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const running = startElf(["train", yield* runNamed(folder, "killed", { optimizer: { steps: 5000 } }), "--workers", "2"])
      yield* Effect.promise(() => running.said("step 2/"))
      const workers = childrenOf(running.pid)
      process.kill(running.pid, "SIGKILL")
      yield* Effect.promise(() => allGone(workers))
    })), 60_000)

  it.effect("processes on several machines refuse to train different things", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const addresses = (yield* freeAddresses(2)).join()
      const files = [yield* runNamed(folder, "one"), yield* runNamed(folder, "other", { optimizer: { steps, learningRate: 0.02 } })]
      const ended = yield* Effect.promise(() => Promise.all(files.map((file, rank) => elf(["train", file, "--cluster", addresses, "--rank", String(rank)]))))
      assert.deepStrictEqual(ended.map(({ code }) => code), [1, 1])
      assert.include(ended[0]!.stderr, "Rank 1 differs from rank 0")
      assert.include(ended[1]!.stderr, "optimizer.learningRate is 0.02, on rank 0 it is 0.01")
    })), 60_000)

  it.effect("says what it cannot do", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      const file = yield* runNamed(folder, "never")
      const { code, stderr } = yield* Effect.promise(() => elf(["train", file, "--workers", "2"], { environment: { ELF_STREAMS_ENGINE: "wasm" } }))
      assert.strictEqual(code, 1)
      assert.include(stderr, "the wasm engine runs one process alone")
      const refused = (workers: number, cluster?: string, rank?: number) =>
        Effect.map(Effect.flip(checkGroup({ workers, cluster: Option.fromUndefinedOr(cluster), rank: Option.fromUndefinedOr(rank) }, 4)), ({ message }) => message)
      assert.include(yield* refused(0), "--workers must be at least 1 and at most 4")
      assert.include(yield* refused(5), "--workers must be at least 1 and at most 4")
      assert.include(yield* refused(2, "a:1,b:2", 0), "--workers must be left out")
      assert.include(yield* refused(1, "a:1,b", 0), "host:port")
      assert.include(yield* refused(1, "a:1,a:1", 0), "different addresses")
      assert.include(yield* refused(1, "a:1,b:2"), "--rank must be given")
      assert.include(yield* refused(1, undefined, 1), "--rank must be given")
      assert.include(yield* refused(1, "a:1,b:2", 2), "--rank must be from 0 to 1")
      yield* checkGroup({ workers: 1, cluster: Option.some("a.example:1,[::1]:2"), rank: Option.some(1) }, 4)
    })), 60_000)
})

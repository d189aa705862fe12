import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { elf } from "../cli/process.ts"
import { type Blow, startPool, type Struck } from "./chaos.ts"
import { postgres, requirePostgres } from "./postgres.ts"
import { startRunner } from "./runnerProcess.ts"
import { manifestLines, partsOf, tinyInference } from "./tinyInference.ts"

const rowGroups = 24
const blows: ReadonlyArray<Blow> = ["SIGKILL", "SIGINT", "SIGSTOP", "SIGKILL"]

/** What every process of a job must say alike. */
const common = ({ at: _, doneHere: __, seconds: ___, ...rest }: Record<string, unknown>) => rest

const show = ({ blow, stalled, takenOverAfter }: Struck): string => `${blow} ${takenOverAfter === undefined ? "(published before)" : `${takenOverAfter} ms`}${stalled ? " (machine stood still)" : ""}`

describe.runIf(requirePostgres())("elf infer --cluster, three processes", () => {
  it.live("killed, interrupted and frozen at random, the pool publishes what one process does, each row group once", () =>
    Effect.scoped(Effect.gen(function*() {
      const { url } = yield* postgres
      const { answer, folder } = yield* tinyInference(rowGroups, 60)
      const alone = yield* Effect.promise(() => elf(answer("alone")))
      assert.strictEqual(alone.code, 0, alone.stderr)
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() => startPool(3, () => startRunner(answer("shared", "--cluster", url)), (part) => manifestLines(join(folder, "shared")).includes(part))),
        ({ stopAll }) => Effect.sync(stopAll)
      )
      const struck: Array<Struck> = []
      for (const blow of blows) {
        const outcome = yield* Effect.promise(() => pool.strike(blow, (count) => Math.floor(Math.random() * count)))
        if (outcome !== undefined) struck.push(outcome)
      }
      const ended = yield* Effect.promise(() => Promise.all(pool.runners.map(({ ended }) => ended))).pipe(
        Effect.timeoutOrElse({ duration: "150 seconds", orElse: () => Effect.die(new Error(`the job does not end: ${JSON.stringify(pool.runners.map((one) => [one.isAlive(), one.events.at(-1)]))}`)) })
      )
      process.stderr.write(`taken over after: ${struck.map(show).join(", ")}\n`)
      assert.isAtLeast(struck.length, 1)

      const finished = pool.runners.filter((_, i) => ended[i] === 0)
      assert.deepStrictEqual(ended.filter((end) => end !== 0 && end !== 130 && end !== "SIGKILL"), [], pool.runners.map(({ stderr }) => stderr()).join("\n"))
      assert.isAtLeast(finished.length, 3)
      for (const runner of finished) assert.deepStrictEqual(common(runner.summary()), common(finished[0]!.summary()))
      assert.include(finished[0]!.summary(), { rows: rowGroups * 4, total: rowGroups, units: rowGroups, failedRows: 0 })

      const [expected, actual] = [partsOf(join(folder, "alone")), partsOf(join(folder, "shared"))]
      assert.strictEqual(expected.size, rowGroups)
      assert.deepStrictEqual([...actual.keys()], [...expected.keys()])
      for (const [name, bytes] of expected) assert.isTrue(bytes.equals(actual.get(name)!), `${name} differs`)
      assert.deepStrictEqual([...new Set(manifestLines(join(folder, "shared")))].sort(), [...expected.keys()])

      const { code, stdout } = yield* Effect.promise(() => elf(["jobs", url, "--json"]))
      assert.strictEqual(code, 0)
      const [job] = JSON.parse(stdout) as ReadonlyArray<Record<string, unknown>>
      assert.include(job, { state: "done", generation: 1, total: rowGroups, done: rowGroups, failed: 0 })
    })), 300_000)
})

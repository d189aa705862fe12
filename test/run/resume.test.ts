/** Where a run's data goes on: the same rows as if it had never stopped, and nothing before them is read again. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import fc from "fast-check"
import { join } from "node:path"
import { Disk, Parquet, RunConfig } from "../../src/io/index.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import { keyed } from "../../src/flow/Random.ts"
import { corruptionOptions } from "../../src/run/corruption.ts"
import { encoderLayer, positionOf, trainingBatches, type TrainingFile, trainingFiles } from "../../src/run/index.ts"
import { configurationChanges } from "../../src/run/runChanges.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import type { CorruptedBatch, PackPosition } from "../../src/streams/index.ts"
import { tinyFolder, writeRunFile } from "../cli/tinyRun.ts"
import { counting } from "../io/support.ts"
import { testEngine } from "../support/backend.ts"
import { check } from "../support/prop.ts"

/** Files of so many rows, in row groups of so many. */
const filesOf = (layout: ReadonlyArray<readonly [rows: number, group: number]>): ReadonlyArray<TrainingFile> =>
  layout.map(([rows, group], i) => ({
    path: String(i),
    rows,
    rowGroups: Array.from({ length: Math.ceil(rows / group) }, (_, index) => ({ index, firstRow: index * group, rows: Math.min(group, rows - index * group) }))
  }))

describe("positionOf", () => {
  const layout = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 5 })
    .filter((files) => files.some(([rows]) => rows > 0))
  it.effect("is the row that the document's window begins with, counted through all passes", () =>
    check([layout, fc.nat(200), fc.integer({ min: 1, max: 12 })], (layout, document, window) =>
      Effect.sync(() => {
        const files = filesOf(layout)
        const rows = files.flatMap(({ path, rowGroups }) => rowGroups.flatMap(({ firstRow, index, rows }) =>
          Array.from({ length: rows }, (_, i) => ({ file: path, rowGroup: index, row: firstRow + i }))))
        const found = positionOf(files, document, window)
        const first = document - found.passedOver
        assert.strictEqual(first, found.window * window)
        assert.isTrue(found.passedOver >= 0 && found.passedOver < window)
        assert.deepInclude(found, { ...rows[first % rows.length], pass: Math.floor(first / rows.length) })
      })))
})

/** Everything of a batch, row by row, with the draws that belong to it. */
const rowsOf = (batches: ReadonlyArray<CorruptedBatch>) =>
  batches.flatMap(({ conditionMask, decoderActive, ids, indices, length, size, t }) =>
    Array.from({ length: size }, (_, i) => ({
      index: indices[i],
      ids: [...ids.subarray(i * length, (i + 1) * length)],
      condition: [...conditionMask.subarray(i * length, (i + 1) * length)],
      t: t[i],
      decoderActive: decoderActive[i]
    })))

const collect = (run: RunConfig.RunConfig, count: number, from?: PackPosition) =>
  trainingBatches(run, { from }).pipe(Stream.take(count), corrupt({ ...corruptionOptions(run), source: keyed(run.seed) }), Stream.runCollect)

const services = (run: RunConfig.RunConfig) => Layer.merge(encoderLayer(run), Tokenizer.layer)

const loaded = Effect.fnUntraced(function*(data: Record<string, unknown> = {}) {
  const folder = yield* tinyFolder
  return { folder, run: yield* RunConfig.load(yield* writeRunFile(folder, "run.json", { data: { ...data, shuffleWindow: 5, batchSize: 2, labelDropProbability: 0.5 } })) }
})

layer(testEngine)("a run's data", (it) => {
  for (const [what, data] of [["packed text", {}], ["pairs", { conditionColumn: "text" }]] as const) {
    it.effect(`${what}: goes on behind any batch, through several passes, whatever the look-ahead, bit for bit`, () =>
      Effect.gen(function*() {
        const { run } = yield* loaded(data)
        yield* Effect.gen(function*() {
          const whole = yield* collect(run, 30)
          for (const [i, stop] of [1, 4, 9, 17, 29].entries()) {
            const ahead = { ...run, data: { ...run.data, prefetch: i % 3 } }
            assert.deepStrictEqual(yield* collect(ahead, 30 - stop, whole[stop - 1]!.resume), whole.slice(stop))
          }
        }).pipe(Effect.provide(services(run)))
      }))
  }

  it.effect("another batch size and other row groups, between two runs, keep every row and every draw", () =>
    Effect.gen(function*() {
      const { folder, run } = yield* loaded()
      const other = join(folder, "regrouped")
      yield* Parquet.readRows(run.data.train).pipe(
        Stream.map(({ values }) => ({ text: String(values["text"]) })),
        Parquet.write(join(other, "a.parquet"), { schema: { text: "string" }, rowGroupSize: 7 }),
        Stream.runDrain
      )
      yield* Effect.gen(function*() {
        const whole = yield* collect(run, 24)
        const rest = yield* collect({ ...run, data: { ...run.data, train: other, batchSize: 6 } }, 6, whole[5]!.resume)
        assert.deepStrictEqual(rowsOf(rest), rowsOf(whole).slice(12))
      }).pipe(Effect.provide(services(run)))
    }))

  it.effect("what comes before is not read again: a thousand passes in, one file is opened as at the start", () =>
    Effect.gen(function*() {
      const { run } = yield* loaded()
      const opened = (from?: PackPosition) =>
        Effect.gen(function*() {
          const { disk, open } = counting()
          yield* trainingBatches(run, { from }).pipe(Stream.take(1), Stream.runDrain, Effect.provideService(Disk, disk))
          return open.ever
        })
      yield* Effect.gen(function*() {
        const fresh = yield* opened()
        assert.isAtMost(yield* opened({ documents: 16_000, offset: 0, index: 9 }), fresh + 1)
      }).pipe(Effect.provide(services(run)))
    }))

  it.effect("the files are counted as their footers say", () =>
    Effect.gen(function*() {
      const { run } = yield* loaded()
      assert.deepStrictEqual((yield* trainingFiles(run.data.train)).map(({ rowGroups, rows }) => [rows, rowGroups.length]), [[16, 4]])
    }))
})

describe("configurationChanges", () => {
  const decoded = (changes: Record<string, Record<string, unknown>> = {}) =>
    RunConfig.decode({
      model: { hidden: 16, depth: 1, heads: 2, length: 16, ...changes["model"] },
      data: { train: "a.parquet", heldOut: "b.parquet", ...changes["data"] },
      optimizer: { steps: 10, ...changes["optimizer"] },
      ...Object.fromEntries(Object.entries(changes).filter(([name]) => !["model", "data", "optimizer"].includes(name)))
    })
  const changed = (changes: Record<string, Record<string, unknown>>) =>
    Effect.gen(function*() { return configurationChanges(yield* decoded(), yield* decoded(changes)) })

  it.effect("lists every key that changes a step, with both values", () =>
    Effect.gen(function*() {
      assert.sameMembers([...yield* changed({ optimizer: { steps: 10, learningRate: 0.5 }, data: { batchSize: 7 }, flow: { timeDistribution: { kind: "uniform" } } })], [
        "data.batchSize is 7, it was 512",
        "flow.timeDistribution.kind is \"uniform\", it was \"logitNormal\"",
        "optimizer.learningRate is 0.5, it was 0.002",
        "flow.timeDistribution.mean is absent, it was -1.5",
        "flow.timeDistribution.standardDeviation is absent, it was 0.8"
      ])
    }))

  it.effect("leaves out what changes none: places, reports, samplers, how long to go on while the rate is constant", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* changed({
        data: { train: "elsewhere.parquet", prefetch: 4 },
        optimizer: { steps: 99, onDivergence: "skip" },
        checkpoint: { directory: "x", every: 3, keep: 9 },
        log: { every: 2, tensorboard: "board" },
        sample: { steps: 3 }
      }), [])
      const cosine = { schedule: "cosine" }
      const before = yield* decoded({ optimizer: { ...cosine, steps: 10 } })
      assert.deepStrictEqual(configurationChanges(before, yield* decoded({ optimizer: { ...cosine, steps: 99 } })), ["optimizer.steps is 99, it was 10"])
    }))
})

/** Training that is shared: whatever the number of processes, the same rows, losses and weights. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { Collective } from "../../src/model/Collective.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import { endingTogether } from "../../src/streams/endingTogether.ts"
import type { LatentBatch } from "../../src/streams/index.ts"
import { selfCondition } from "../../src/streams/selfCondition.ts"
import { shard, shareSize } from "../../src/streams/shard.ts"
import { type StepMetrics, train, type TrainableBatch, type TrainOptions } from "../../src/streams/train.ts"
import { testEngine } from "../support/backend.ts"
import { inMemoryGroup } from "../support/inMemoryGroup.ts"
import { check } from "../support/prop.ts"
import { tinyBatch, tinyCorruption, tinyTraining } from "../support/tinyModel.ts"
import { differences, runOf } from "../support/training.ts"

const [batchSize, steps] = [5, 4]

/** The batches of one member: its rows of each. */
const batchesOf = (rank: number, count: number) =>
  Stream.range(0, batchSize * steps - 1).pipe(
    shard({ rank, count, batchSize }),
    Stream.grouped(shareSize(batchSize, { rank, count })),
    Stream.map((rows) => tinyBatch(rows[0]!, rows.length))
  )

/** The targets of a teacher, whose loss is a mean over rows. */
const taught = ({ velocityTarget: _, ...batch }: TrainableBatch & { readonly velocityTarget: Float32Array }) =>
  ({ ...batch, predictionTarget: batch.clean.map((x) => 0.5 * x) }) as unknown as TrainableBatch

const training = (options: Partial<TrainOptions>, fromTeacher: boolean) => <E, R>(upstream: Stream.Stream<LatentBatch, E, R>) =>
  upstream.pipe(
    corrupt(tinyCorruption),
    selfCondition,
    Stream.map((batch): TrainableBatch => fromTeacher ? taught(batch) : batch),
    train({ ...tinyTraining, ...options })
  )

/** What each member of a group of `count` does and where it ends. */
const inGroup = (count: number, options: Partial<TrainOptions>, fromTeacher: boolean) =>
  Effect.all(
    inMemoryGroup(count).map((fields) => Effect.provideService(runOf(training(options, fromTeacher)(batchesOf(fields.rank, count))), Collective, fields)),
    { concurrency: "unbounded" }
  )

const near = (a: number, b: number, tolerance: number, what: string) => assert.isAtMost(Math.abs(a - b), tolerance * Math.max(1, Math.abs(b)), `${what}: ${a} and ${b}`)

const compare = (group: ReadonlyArray<StepMetrics>, alone: ReadonlyArray<StepMetrics>) => {
  assert.strictEqual(group.length, alone.length)
  alone.forEach((step, i) => {
    for (const key of ["loss", "denoiserLoss", "decoderLoss"] as const) near(group[i]![key], step[key], 1e-4, `${key} of step ${i + 1}`)
    if (step.gradientNorm !== undefined) near(group[i]!.gradientNorm!, step.gradientNorm, 1e-3, `gradient norm of step ${i + 1}`)
    assert.deepStrictEqual([group[i]!.tokens, group[i]!.updates], [step.tokens, step.updates])
  })
}

layer(testEngine)("training in a group", (it) => {
  const cases: ReadonlyArray<readonly [name: string, count: number, options: Partial<TrainOptions>, fromTeacher: boolean]> = [
    ["of two", 2, {}, false],
    ["of three, with accumulated gradients", 3, { gradientAccumulation: 2 }, false],
    ["of two, on a teacher's targets", 2, {}, true]
  ]
  for (const [name, count, options, fromTeacher] of cases) {
    it.effect(`${name}: the losses and weights of one process, and the same bits in all`, () =>
      Effect.gen(function*() {
        const alone = yield* runOf(training(options, fromTeacher)(batchesOf(0, 1)))
        const group = yield* inGroup(count, options, fromTeacher)
        for (const member of group) {
          assert.deepStrictEqual(differences(member.end, group[0]!.end), [])
          compare(member.metrics, alone.metrics)
        }
        for (const [i, { data, name }] of alone.end.model.entries()) data.forEach((x, j) => near(group[0]!.end.model[i]!.data[j]!, x, 2e-3, name))
        // Where rank 0's rows end is where the batch ends.
        assert.deepStrictEqual(group[0]!.metrics.map(({ resume }) => resume), alone.metrics.map(({ resume }) => resume))
      }))
  }
})

describe("shard", () => {
  it.effect("gives every row to one process, in order, and drops what fills no batch", () =>
    check([fc.nat(40), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })], (rows, size, wanted) =>
      Effect.gen(function*() {
        const count = Math.min(size, wanted)
        const shares = yield* Effect.forEach(Array.from({ length: count }, (_, rank) => rank), (rank) =>
          Stream.runCollect(shard({ rank, count, batchSize: size })(Stream.fromIterable(Array.from({ length: rows }, (_, i) => i)))))
        const kept = count === 1 ? rows : rows - rows % size
        assert.deepStrictEqual(shares.flat().toSorted((a, b) => a - b), Array.from({ length: kept }, (_, i) => i))
        shares.forEach((share, rank) => {
          assert.deepStrictEqual(share, share.toSorted((a, b) => a - b))
          if (count > 1) assert.strictEqual(share.length, (kept / size) * shareSize(size, { rank, count }))
        })
        if (count > 1 && kept > 0) assert.strictEqual(shares[0]!.at(-1), kept - 1)
      })))
})

describe("endingTogether", () => {
  it.effect("ends everywhere with the shortest stream", () =>
    Effect.gen(function*() {
      const lengths = [5, 3, 4]
      const taken = yield* Effect.all(
        inMemoryGroup(3).map((fields, i) =>
          Effect.provideService(Stream.runCollect(endingTogether(Stream.range(1, lengths[i]!))), Collective, fields)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(taken, [[1, 2, 3], [1, 2, 3], [1, 2, 3]])
      assert.deepStrictEqual(yield* Stream.runCollect(endingTogether(Stream.range(1, 4))), [1, 2, 3, 4])
    }))
})

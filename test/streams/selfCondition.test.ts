import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { corrupt, type CorruptedBatch, type CorruptionOptions } from "../../src/streams/corrupt.ts"
import { type LatentBatch, prefetch } from "../../src/streams/index.ts"
import { selfCondition, type SelfConditionedBatch } from "../../src/streams/selfCondition.ts"
import { testEngine } from "../support/backend.ts"
import { chunkingInvariant, noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { misfitBatch, tiny, tinyBatch, tinyCorruption, tinyNetwork, tinyVariant } from "../support/tinyModel.ts"
import { assertNear } from "../support/tolerances.ts"

const [S, D] = [tiny.length, tiny.textWidth]

const run = (first: number, size: number, options: Partial<CorruptionOptions> = {}, batches = 1) =>
  Stream.range(0, batches - 1).pipe(
    Stream.map((i) => tinyBatch(first + i * size, size)),
    corrupt({ ...tinyCorruption, ...options }),
    selfCondition,
    Stream.runCollect
  )

const one = (options: Partial<CorruptionOptions>) => Effect.map(run(0, 8, options), (batches) => batches[0]!)

const corrupted = (options: Partial<CorruptionOptions>) =>
  Effect.map(Stream.runCollect(corrupt({ ...tinyCorruption, ...options })(Stream.make(tinyBatch(0, 8)))), (batches) => batches[0]!)

const part = (values: Float32Array, row: number) => values.subarray(row * S * D, (row + 1) * S * D)

/** The condition's clean latents, and zeros elsewhere. */
const conditionOnly = (batch: CorruptedBatch, row: number): Float32Array =>
  part(batch.clean, row).map((x, i) => batch.conditionMask[row * S + Math.floor(i / D)] === 1 ? x : 0)

const rowsOf = (batches: ReadonlyArray<SelfConditionedBatch>) =>
  batches.flatMap((batch) => batch.indices.map((index, row) => ({
    index,
    half: part(batch.selfCondition!, row),
    target: part(batch.velocityTarget, row)
  })))

layer(Layer.provideMerge(tinyNetwork(), testEngine))("selfCondition", (it) => {
  it.effect("adds the half and the guidance, and changes nothing else", () =>
    Effect.gen(function*() {
      const before = yield* corrupted({})
      const { selfCondition: half, updates, velocityTarget: _, ...kept } = yield* one({})
      const { velocityTarget: __, ...expected } = before
      assert.deepStrictEqual(kept, expected)
      assert.strictEqual(half!.length, before.z.length)
      assert.strictEqual(updates, 0)
    }))

  it.effect("decoder rows get zeros everywhere, the condition included", () =>
    Effect.gen(function*() {
      const batch = yield* one({ decoderProbability: 1 })
      assert.isTrue(batch.conditionMask.includes(1))
      assert.isTrue(batch.selfCondition!.every((x) => x === 0))
      assert.isTrue(batch.velocityTarget.every((x) => x === 0))
    }))

  it.effect("denoiser rows that do not use it get the condition and zeros, and keep their target", () =>
    Effect.gen(function*() {
      const before = yield* corrupted({ selfConditionProbability: 0.3 })
      const batch = yield* one({ selfConditionProbability: 0.3 })
      const idle = batch.indices.map((_, row) => row).filter((row) => batch.decoderActive[row] === 0 && batch.usesSelfCondition[row] === 0)
      assert.isAbove(idle.length, 0)
      for (const row of idle) {
        assert.deepStrictEqual(part(batch.selfCondition!, row), conditionOnly(batch, row))
        assert.deepStrictEqual(part(batch.velocityTarget, row), part(before.velocityTarget, row))
      }
    }))

  it.effect("rows that use it get a prediction with the condition put back, and guidance on the target", () =>
    Effect.gen(function*() {
      const before = yield* corrupted({ decoderProbability: 0, selfConditionProbability: 1 })
      const batch = yield* one({ decoderProbability: 0, selfConditionProbability: 1 })
      for (let token = 0; token < batch.size * S; token++) {
        const at = <T extends Float32Array>(values: T) => values.slice(token * D, (token + 1) * D)
        const isCondition = batch.conditionMask[token] === 1
        if (isCondition) assert.deepStrictEqual(at(batch.selfCondition!), at(batch.clean))
        else assert.isTrue(at(batch.selfCondition!).every((x) => x !== 0))
        if (!isCondition) assert.notDeepEqual(at(batch.velocityTarget), at(before.velocityTarget))
      }
    }))

  it.effect("a scale of 1 adds no guidance", () =>
    Effect.gen(function*() {
      const options = { decoderProbability: 0, selfConditionProbability: 1, selfConditionScale: { minimum: 1, maximum: 1 } }
      assertNear("corruption", (yield* one(options)).velocityTarget, (yield* corrupted(options)).velocityTarget, "target")
    }))

  it.effect("a run without self-conditioning passes through", () =>
    Effect.gen(function*() {
      const { updates: _, ...batch } = yield* one({ selfConditionProbability: 0 })
      assert.deepStrictEqual(batch, yield* corrupted({ selfConditionProbability: 0 }))
    }))

  it.effect("a row's prediction does not depend on its batch", () =>
    Effect.gen(function*() {
      const together = rowsOf(yield* run(0, 8))
      for (const size of [1, 2, 4]) {
        const apart = rowsOf(yield* run(0, size, {}, 8 / size))
        apart.forEach(({ half, index, target }, i) => {
          assert.strictEqual(index, together[i]!.index)
          if (together[i]!.half.some((x) => x !== 0)) assertNear("forward", half, together[i]!.half, `half of row ${index}`)
          assertNear("forward", target, together[i]!.target, `target of row ${index}`)
        })
      }
    }))

  const elements = [0, 2, 4, 6].map((first) => tinyBatch(first, 2))
  const everyRow = corrupt({ ...tinyCorruption, selfConditionProbability: 1, decoderProbability: 0 })
  const whole = <E, R>(upstream: Stream.Stream<LatentBatch, E, R>) => upstream.pipe(everyRow, selfCondition)
  it.effect("chunking invariance", () => chunkingInvariant(whole, elements))
  it.effect("look-ahead before it changes nothing", () =>
    Effect.gen(function*() {
      const upstream = Stream.fromIterable(elements)
      assert.deepStrictEqual(yield* upstream.pipe(prefetch(2), whole, Stream.runCollect), yield* Stream.runCollect(whole(upstream)))
    }))
  it.effect("no tensor is left", () => noTensorLeft(whole, elements, misfitBatch(2)))
  it.effect("nothing is left after interruption", () => nothingLeftAfterInterruption(whole, (index: number) => tinyBatch(2 * index, 2)))
})

layer(Layer.provideMerge(tinyNetwork(tinyVariant), testEngine))("selfCondition of the variant without scale tokens", (it) => {
  it.effect("predicts, and adds no guidance", () =>
    Effect.gen(function*() {
      const options = { decoderProbability: 0, selfConditionProbability: 1, selfConditionScale: undefined }
      const batch = yield* one(options)
      assert.deepStrictEqual(batch.velocityTarget, (yield* corrupted(options)).velocityTarget)
      assert.isTrue(batch.selfCondition!.some((x) => x !== 0))
    }))
})

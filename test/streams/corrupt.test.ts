import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { Path } from "../../src/flow/index.ts"
import { corrupt, type CorruptedBatch, type CorruptionOptions } from "../../src/streams/corrupt.ts"
import { type LatentBatch, prefetch } from "../../src/streams/index.ts"
import { chunkingInvariance, nothingAliveAfterInterruption } from "../support/laws.ts"
import { tiny, tinyBatch, tinyCorruption } from "../support/tinyModel.ts"

const [S, D] = [tiny.length, tiny.textWidth]

const run = (batches: ReadonlyArray<LatentBatch>, options: Partial<CorruptionOptions> & { readonly seed?: number } = {}) =>
  Stream.fromIterable(batches).pipe(corrupt({ ...tinyCorruption, ...options }), Stream.runCollect)

const one = (options: Partial<CorruptionOptions>, size = 8) =>
  Effect.map(run([tinyBatch(0, size)], options), (batches) => batches[0]!)

type Visit = (row: number, isCondition: boolean, part: (values: Float32Array) => Float32Array) => void

/** Calls `visit` for every token of a batch. */
const eachToken = (batch: CorruptedBatch, visit: Visit) => {
  for (let token = 0; token < batch.size * S; token++) {
    visit(Math.floor(token / S), batch.conditionMask[token] === 1, (values) => values.subarray(token * D, (token + 1) * D))
  }
}

/** The fields that have one entry, or one stretch of entries, a row. */
const rowsOf = (batch: CorruptedBatch) =>
  batch.indices.map((index, row) => {
    const part = (values: Float32Array | Uint8Array | Int32Array) => values.slice(row * values.length / batch.size, (row + 1) * values.length / batch.size)
    const { clean, decoderActive, ids, latents, lossMask, selfConditionScale, t, usesSelfCondition, velocityTarget, z } = batch
    return { index, fields: [clean, decoderActive, ids, latents, lossMask, selfConditionScale!, t, usesSelfCondition, velocityTarget, z].map(part) }
  })

describe("corrupt", () => {
  it.effect("keeps the batch, its order and its rows", () =>
    Effect.gen(function*() {
      const batches = [tinyBatch(0, 3), tinyBatch(3, 3), tinyBatch(6, 2)]
      const out = yield* run(batches)
      assert.strictEqual(out.length, 3)
      out.forEach((batch, i) => {
        for (const [field, value] of Object.entries(batches[i]!)) assert.deepStrictEqual(batch[field as keyof LatentBatch], value, field)
      })
    }))

  it.effect("denoiser rows: noise of their own t, the condition clean", () =>
    Effect.gen(function*() {
      const batch = yield* one({ decoderProbability: 0 })
      assert.isTrue(batch.decoderActive.every((active) => active === 0))
      assert.isTrue(batch.t.every((t) => t > 0 && t < 1))
      assert.strictEqual(new Set(batch.t).size, batch.size, "each row has its own t")
      let conditions = 0
      eachToken(batch, (_, isCondition, part) => {
        if (isCondition) conditions++
        assert.strictEqual(part(batch.z).every((x, i) => x === part(batch.clean)[i]), isCondition)
        assert.strictEqual(part(batch.velocityTarget).every((x) => x === 0), isCondition)
      })
      assert.isAbove(conditions, 0)
    }))

  it.effect("decoder rows: t = 1, no target, and the condition is noisy too", () =>
    Effect.gen(function*() {
      const batch = yield* one({ decoderProbability: 1 })
      assert.isTrue(batch.decoderActive.every((active) => active === 1))
      assert.isTrue(batch.t.every((t) => t === 1))
      assert.isTrue(batch.velocityTarget.every((x) => x === 0))
      assert.isTrue(batch.usesSelfCondition.every((uses) => uses === 0), "no first prediction is made for a decoder row")
      eachToken(batch, (_, __, part) => assert.isTrue(part(batch.z).some((x, i) => x !== part(batch.clean)[i])))
    }))

  it.effect("a dropped label takes the condition's latents away, in z and in the target", () =>
    Effect.gen(function*() {
      const batch = yield* one({ decoderProbability: 0 })
      let dropped = 0
      eachToken(batch, (row, isCondition, part) => {
        const hidden = isCondition && batch.labelDropped[row] === 1
        if (hidden) dropped++
        assert.deepStrictEqual(part(batch.clean), hidden ? new Float32Array(D) : part(batch.latents))
        if (hidden) assert.isTrue(part(batch.z).every((x) => x === 0))
      })
      assert.isAbove(dropped, 0)
    }))

  it.effect("following the target to t = 1 leads to the clean latents, where 1 − t is not clamped", () =>
    Effect.gen(function*() {
      const batch = yield* one({ decoderProbability: 0 })
      const reached = Path.predictionFromVelocity(batch.velocityTarget, batch.z, batch.t, batch.timeEpsilon)
      reached.forEach((x, i) => assert.closeTo(x, batch.clean[i]!, 1e-5))
    }))

  it.effect("near t = 1 the target is divided by timeEpsilon", () =>
    Effect.gen(function*() {
      const late = { name: "late", draw: "uniform", fromDraw: () => Math.fround(0.99) } as const
      const batch = yield* one({ decoderProbability: 0, timeDistribution: late, timeEpsilon: 0.5 })
      batch.velocityTarget.forEach((v, i) => assert.closeTo(v, (batch.clean[i]! - batch.z[i]!) / 0.5, 1e-5))
    }))

  it.effect("the loss counts what is written: not the condition, and padding only where it is EOS", () =>
    Effect.gen(function*() {
      const [pad, eos] = [yield* one({ padding: "pad" }), yield* one({ padding: "eos" })]
      pad.lossMask.forEach((counts, i) => {
        assert.strictEqual(counts, pad.attentionMask[i]! * (1 - pad.conditionMask[i]!))
        assert.strictEqual(eos.lossMask[i]!, 1 - pad.conditionMask[i]!)
      })
      assert.notDeepEqual(pad.lossMask, eos.lossMask)
    }))

  it.effect("draws do not depend on the batch: two batches of two are the batch of four, bit for bit", () =>
    Effect.gen(function*() {
      const together = (yield* run([tinyBatch(4, 4)])).flatMap(rowsOf)
      for (const split of [[tinyBatch(4, 2), tinyBatch(6, 2)], [tinyBatch(6, 2), tinyBatch(4, 2)], [4, 5, 6, 7].map((i) => tinyBatch(i, 1))]) {
        const apart = (yield* run(split)).flatMap(rowsOf).sort((a, b) => a.index - b.index)
        assert.deepStrictEqual(apart, together)
      }
    }))

  it.effect("every draw follows the seed", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* one({}), yield* one({}))
      const [a, b] = [yield* run([tinyBatch(0, 64)], { seed: 1 }), yield* run([tinyBatch(0, 64)], { seed: 2 })]
      for (const field of ["z", "t", "decoderActive", "usesSelfCondition", "selfConditionScale"] as const) {
        assert.notDeepEqual(a[0]![field], b[0]![field], field)
      }
    }))

  it.effect("branches and scales come as often as they should", () =>
    Effect.gen(function*() {
      const size = 4000
      const batch: LatentBatch = {
        ...tinyBatch(0, 1),
        size,
        length: 1,
        width: 1,
        ids: new Int32Array(size),
        latents: new Float32Array(size),
        attentionMask: new Float32Array(size).fill(1),
        conditionMask: new Float32Array(size),
        labelDropped: new Uint8Array(size),
        indices: Array.from({ length: size }, (_, i) => i)
      }
      const [out] = yield* run([batch], { decoderProbability: 0.2, selfConditionProbability: 0.5 })
      const share = (flags: Uint8Array) => flags.reduce((a, b) => a + b, 0) / size
      // Five standard deviations of a share of 4000 rows are at most 0.04.
      assert.closeTo(share(out!.decoderActive), 0.2, 0.04)
      assert.closeTo(share(out!.usesSelfCondition), 0.8 * 0.5, 0.04)
      assert.isTrue(out!.selfConditionScale!.every((w) => w >= 0.5 && w <= 5))
      assert.closeTo(share(Uint8Array.from(out!.selfConditionScale!, (w) => Number(w < 2))), 0.5, 0.04)
    }))

  it.effect("without self-conditioning no row uses it, and without a range there are no scales", () =>
    Effect.gen(function*() {
      const batch = yield* one({ selfConditionProbability: 0, selfConditionScale: undefined })
      assert.isFalse(batch.selfConditioning)
      assert.isTrue(batch.usesSelfCondition.every((uses) => uses === 0))
      assert.isUndefined(batch.selfConditionScale)
    }))

  it("refuses what is outside its domain", () => {
    assert.throws(() => corrupt({ ...tinyCorruption, timeEpsilon: 0 }), /timeEpsilon must be in \(0, 1\]/)
    assert.throws(() => corrupt({ ...tinyCorruption, decoderProbability: 1.5 }), /decoderProbability must be in \[0, 1\], but it is 1.5/)
  })

  it.effect("chunking invariance", () =>
    chunkingInvariance(corrupt(tinyCorruption), fc.nat(50).map((first) => tinyBatch(first, 2)), { numRuns: 10 }))
  it.effect("look-ahead on either side changes nothing", () =>
    Effect.gen(function*() {
      const batches = [0, 2, 4, 6].map((first) => tinyBatch(first, 2))
      const ahead = Stream.fromIterable(batches).pipe(prefetch(3), corrupt(tinyCorruption), prefetch(1), Stream.runCollect)
      assert.deepStrictEqual(yield* ahead, yield* run(batches))
    }))
  it.effect("nothing alive after interruption", () => nothingAliveAfterInterruption(corrupt(tinyCorruption), (i: number) => tinyBatch(i, 2)))
})

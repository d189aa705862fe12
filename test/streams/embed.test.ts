import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { embed } from "../../src/streams/embed.ts"
import { type EmbeddedSequence, type LabelledSequence, prefetch } from "../../src/streams/index.ts"
import { testEngine } from "../support/backend.ts"
import { chunkingInvariant, noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { tiny, tinyEncoder, tinyRow } from "../support/tinyModel.ts"
import { assertNear } from "../support/tolerances.ts"

const rows = Array.from({ length: 7 }, (_, index) => tinyRow(index))
const D = tiny.textWidth

const run = (sequences: ReadonlyArray<LabelledSequence>, batchSize: number) =>
  Stream.fromIterable(sequences).pipe(embed({ batchSize }), Stream.runCollect)

const withoutLatents = ({ latents: _, ...row }: EmbeddedSequence): LabelledSequence => row

/** `row` with other ids at the positions that `where` chooses. */
const altered = (row: LabelledSequence, where: (position: number) => boolean): LabelledSequence => ({
  ...row,
  ids: row.ids.map((id, position) => where(position) ? 2 + (id + 17) % (tiny.vocabulary - 2) : id)
})

/** Latents of positions `from` to `until`. */
const span = ({ latents }: EmbeddedSequence, from: number, until: number) => latents.subarray(from * D, until * D)

layer(Layer.provideMerge(tinyEncoder, testEngine))("embed", (it) => {
  it.effect("gives every row its latents and changes nothing else, in order", () =>
    Effect.gen(function*() {
      for (const batchSize of [1, 2, 7, 100]) {
        const out = yield* run(rows, batchSize)
        assert.deepStrictEqual(out.map(withoutLatents), rows)
        for (const { latents } of out) {
          assert.strictEqual(latents.length, tiny.length * D)
          assert.isTrue(latents.every(Number.isFinite))
        }
      }
    }))

  it.effect("a row's latents do not depend on its neighbours", () =>
    Effect.gen(function*() {
      const alone = yield* run(rows, 1)
      for (const batchSize of [2, 3, 7]) {
        const together = yield* run(rows, batchSize)
        together.forEach(({ latents }, i) => assertNear("encoder", latents, alone[i]!.latents, `row ${i} of ${batchSize}`))
      }
    }))

  it.effect("the condition sees itself only, and all of it counts", () =>
    Effect.gen(function*() {
      const row = { ...tinyRow(3), labelDropped: false }
      const [plain, otherTarget, otherCondition] = yield* run([row, altered(row, (i) => i >= 3), altered(row, (i) => i < 3)], 3)
      assertNear("encoder", span(otherTarget!, 0, 3), span(plain!, 0, 3), "condition")
      assert.notDeepEqual(span(otherTarget!, 3, tiny.length), span(plain!, 3, tiny.length))
      assert.notDeepEqual(span(otherCondition!, 3, row.length), span(plain!, 3, row.length))
    }))

  it.effect("a dropped label hides the condition from the rest", () =>
    Effect.gen(function*() {
      const row = { ...tinyRow(3), labelDropped: true }
      const [plain, otherCondition] = yield* run([row, altered(row, (i) => i < 3)], 2)
      assertNear("encoder", span(otherCondition!, 3, tiny.length), span(plain!, 3, tiny.length), "rest")
      assert.notDeepEqual(span(otherCondition!, 0, 3), span(plain!, 0, 3))
    }))

  it.effect("nobody sees padding, and padding sees the row", () =>
    Effect.gen(function*() {
      const row = tinyRow(7)
      assert.strictEqual(row.length, tiny.length - 2)
      const [plain, otherPadding, otherRow] = yield* run([row, altered(row, (i) => i >= row.length), altered(row, (i) => i < row.length)], 3)
      assertNear("encoder", span(otherPadding!, 0, row.length), span(plain!, 0, row.length), "valid tokens")
      assert.notDeepEqual(span(otherRow!, row.length, tiny.length), span(plain!, row.length, tiny.length))
    }))

  it.effect("refuses a token that the encoder does not know", () =>
    Effect.gen(function*() {
      const row = tinyRow(1)
      const error = yield* Effect.flip(run([{ ...row, ids: row.ids.with(0, tiny.vocabulary) }], 1))
      assert.strictEqual(error._tag, "KernelError")
      assert.match(error.message, /Kernel "embed" failed/)
    }))

  const stage = embed({ batchSize: 2 })
  const broken = { ...tinyRow(1), ids: new Int32Array(tiny.length).fill(tiny.vocabulary + 5) }
  it.effect("chunking invariance", () => chunkingInvariant(stage, rows))
  it.effect("look-ahead changes nothing", () =>
    Effect.gen(function*() {
      const with_ = Stream.fromIterable(rows).pipe(prefetch(2), stage, prefetch(3), Stream.runCollect)
      assert.deepStrictEqual(yield* with_, yield* run(rows, 2))
    }))
  it.effect("no tensor is left", () => noTensorLeft(stage, rows, broken))
  it.effect("nothing is left after interruption", () => nothingLeftAfterInterruption(stage, tinyRow))
})

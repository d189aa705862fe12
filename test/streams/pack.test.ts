import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { ArgumentError } from "../../src/flow/index.ts"
import { pack, packPairs, PackResumeError, type PackOptions, type Sequence, type TokenPair } from "../../src/streams/index.ts"
import { chunked, document } from "../support/arbitraries.ts"
import { chunkingInvariance, nothingAliveAfterInterruption } from "../support/laws.ts"
import { check } from "../support/prop.ts"

const end = 1, pad = 7777
const length = fc.integer({ min: 1, max: 12 })
const packed = (documents: ReadonlyArray<Int32Array>, options: Pick<PackOptions, "length" | "remainder" | "from">) =>
  Stream.fromIterable(documents).pipe(pack({ endOfSequenceId: end, padId: pad, ...options }), Stream.runCollect)

const valid = (sequence: Sequence) => Array.from(sequence.ids.subarray(0, sequence.length))
const joined = (documents: ReadonlyArray<Int32Array>) => documents.flatMap((ids, i) => i === 0 ? [...ids] : [end, ...ids])

/** The documents again: the valid tokens split at EOS. */
const documentsOf = (sequences: ReadonlyArray<Sequence>) => {
  const documents: Array<Array<number>> = [[]]
  for (const id of sequences.flatMap(valid)) id === end ? documents.push([]) : documents.at(-1)!.push(id)
  return documents
}

const toFive = pack({ length: 5, endOfSequenceId: end, padId: pad })

describe("pack", () => {
  it.effect("loses no token, repeats none, keeps the order, pads only the end", () =>
    check([chunked(document), length], ({ stream, values }, length) =>
      Effect.gen(function*() {
        const sequences = yield* stream.pipe(pack({ length, endOfSequenceId: end, padId: pad }), Stream.runCollect)
        assert.deepStrictEqual(sequences.flatMap(valid), joined(values))
        assert.deepStrictEqual(documentsOf(sequences), values.length === 0 ? [[]] : values.map((ids) => [...ids]))
        sequences.forEach((sequence, i) => {
          assert.strictEqual(sequence.ids.length, length)
          assert.strictEqual(sequence.index, i)
          assert.strictEqual(sequence.conditionLength, 0)
          assert.isTrue(sequence.ids.subarray(sequence.length).every((id) => id === pad))
          if (i < sequences.length - 1) assert.strictEqual(sequence.length, length)
        })
      })))

  it.effect("remainder: drop leaves out what does not fill a sequence, and only that", () =>
    check([fc.array(document), length], (documents, length) =>
      Effect.gen(function*() {
        const sequences = yield* packed(documents, { length, remainder: "drop" })
        const tokens = joined(documents)
        assert.deepStrictEqual(sequences.flatMap(valid), tokens.slice(0, tokens.length - tokens.length % length))
      })))

  it.effect("goes on from any sequence to the same rest, without the documents before it", () =>
    check([fc.array(document, { minLength: 1 }), length, fc.nat()], (documents, length, at) =>
      Effect.gen(function*() {
        const whole = yield* packed(documents, { length })
        if (whole.length === 0) return
        const cut = at % whole.length
        const from = whole[cut]!.resume!
        assert.deepStrictEqual(yield* packed(documents.slice(from.documents), { length, from }), whole.slice(cut + 1))
      })))

  it.effect("says where each sequence ends, as its table shows", () =>
    Effect.gen(function*() {
      const [a, b, c] = [2, 3, 4]
      const documents = [[a, a, a, a], [b, b, b, b, b], [c, c]].map((ids) => Int32Array.from(ids))
      const sequences = yield* packed(documents, { length: 6 })
      assert.deepStrictEqual(sequences.map(({ ids, length, resume }) => [[...ids], length, resume!.documents, resume!.offset]), [
        [[a, a, a, a, end, b], 6, 1, 2],
        [[b, b, b, b, end, c], 6, 2, 2],
        [[c, pad, pad, pad, pad, pad], 1, 3, 0]
      ])
    }))

  it.effect("refuses to go on in a document that is too short", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        packed([Int32Array.of(5, 6)], { length: 4, from: { documents: 2, offset: 9, index: 1 } })
      )
      assert.instanceOf(error, PackResumeError)
      assert.include(error.message, "document 2: 9 of its tokens are used up, but it has 3")
    }))

  it("refuses lengths and positions that make no sense", () => {
    const ids = { endOfSequenceId: end, padId: pad }
    for (const length of [0, -1, 2.5, NaN]) {
      assert.throws(() => pack({ ...ids, length }), ArgumentError, /pack: length must be an integer ≥ 1/)
    }
    const from = { documents: -1, offset: 0, index: 0 }
    assert.throws(() => pack({ ...ids, length: 4, from }), ArgumentError, /from must be integers ≥ 0/)
  })

  it.effect("chunking invariance", () => chunkingInvariance(toFive, document))
  it.effect("nothing alive after interruption", () =>
    nothingAliveAfterInterruption(toFive, (i: number) => Int32Array.of(i + 2, i + 3)))
})

const pair: fc.Arbitrary<TokenPair> = fc.record({ condition: document, target: document })

describe("packPairs", () => {
  const options = { length: 24, maximumCondition: 8, padId: end }

  it.effect("one sequence a pair: condition, target, padding", () =>
    check([chunked(pair), length, length], ({ stream, values }, length, maximum) =>
      Effect.gen(function*() {
        const maximumCondition = Math.min(length, maximum)
        const sequences = yield* stream.pipe(packPairs({ length, maximumCondition, padId: pad }), Stream.runCollect)
        assert.strictEqual(sequences.length, values.length)
        sequences.forEach((sequence, i) => {
          const condition = [...values[i]!.condition].slice(0, maximumCondition)
          assert.deepStrictEqual(valid(sequence), [...condition, ...values[i]!.target].slice(0, length))
          assert.isTrue(sequence.ids.subarray(sequence.length).every((id) => id === pad))
          assert.strictEqual(sequence.ids.length, length)
          assert.strictEqual(sequence.conditionLength, condition.length)
          assert.strictEqual(sequence.index, i)
        })
      })))

  it.effect("goes on from any sequence to the same rest", () =>
    check([fc.array(pair, { minLength: 1 }), fc.nat()], (pairs, at) =>
      Effect.gen(function*() {
        const whole = yield* Stream.fromIterable(pairs).pipe(packPairs(options), Stream.runCollect)
        const cut = at % whole.length, from = whole[cut]!.resume!
        const later = Stream.fromIterable(pairs.slice(from.documents))
        const rest = yield* later.pipe(packPairs({ ...options, from }), Stream.runCollect)
        assert.deepStrictEqual(rest, whole.slice(cut + 1))
      })))

  it("refuses a condition longer than the sequence", () => {
    assert.throws(() => packPairs({ ...options, maximumCondition: 25 }), ArgumentError, /an integer in \[0, 24\], but it is 25/)
  })

  it.effect("chunking invariance", () => chunkingInvariance(packPairs(options), pair))
  it.effect("nothing alive after interruption", () =>
    nothingAliveAfterInterruption(packPairs(options), (i: number) => ({
      condition: Int32Array.of(i),
      target: Int32Array.of(i)
    })))
})

describe("the reference's collation", () => {
  interface Recorded {
    readonly rows: ReadonlyArray<{ readonly condition_input_ids?: Array<number>; readonly input_ids: Array<number> }>
    readonly padId: number
    readonly length: number
    readonly maximumCondition: number | null
    readonly input_ids: { readonly values: Array<number> }
    readonly attention_mask: { readonly values: Array<number> }
    readonly cond_seq_mask: { readonly values: Array<number> }
  }
  const golden = JSON.parse(
    readFileSync(new URL("../property/golden-units.json", import.meta.url), "utf8")
  ) as Record<"collate_cond" | "collate_owt", Recorded>

  for (const name of ["collate_cond", "collate_owt"] as const) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { length, maximumCondition, padId, rows, ...expected } = golden[name]
        const pairs = rows.map((row) => ({
          condition: Int32Array.from(row.condition_input_ids ?? []),
          target: Int32Array.from(row.input_ids)
        }))
        const options = { length, padId, maximumCondition: maximumCondition ?? 0 }
        const sequences = yield* Stream.fromIterable(pairs).pipe(packPairs(options), Stream.runCollect)
        const below = (count: (sequence: Sequence) => number) =>
          sequences.flatMap((sequence) => Array.from(sequence.ids, (_, i) => Number(i < count(sequence))))
        assert.deepStrictEqual(sequences.flatMap(({ ids }) => [...ids]), expected.input_ids.values)
        assert.deepStrictEqual(below((sequence) => sequence.length), expected.attention_mask.values)
        assert.deepStrictEqual(below((sequence) => sequence.conditionLength), expected.cond_seq_mask.values)
      }))
  }
})

import { Stream } from "effect"
import fc from "fast-check"

/** Values, and the same values as a stream cut into arbitrary chunks. */
export interface Chunked<A> {
  readonly values: ReadonlyArray<A>
  readonly stream: Stream.Stream<A>
}

/** A stage must not care how its input is chunked: give it `stream`, and compare with what `values` lead to. */
export const chunked = <A>(value: fc.Arbitrary<A>): fc.Arbitrary<Chunked<A>> =>
  fc.array(fc.array(value, { minLength: 1, maxLength: 6 }), { maxLength: 8 }).map((chunks) => ({
    values: chunks.flat(),
    stream: Stream.fromArrays(...chunks)
  }))

/** Two arrays of one length with fp32 values in [−8, 8], no negative zero. */
export const vectors: fc.Arbitrary<readonly [Float32Array, Float32Array]> = fc.integer({ min: 1, max: 16 }).chain((n) => {
  const vector = fc.float32Array({ min: -8, max: 8, noNaN: true, minLength: n, maxLength: n }).map((v) => v.map((x) => x + 0))
  return fc.tuple(vector, vector)
})

/** A time of the path, as fp32. */
export const time: fc.Arbitrary<number> = fc.float({ min: 0, max: 1, noNaN: true }).map((t) => t + 0)

/** A document of token ids 2 … 999 (never padding or EOS). */
export const document: fc.Arbitrary<Int32Array> = fc.array(fc.integer({ min: 2, max: 999 }), { maxLength: 20 })
  .map((ids) => Int32Array.from(ids))

/** Any seed. */
export const seed: fc.Arbitrary<number> = fc.maxSafeInteger()

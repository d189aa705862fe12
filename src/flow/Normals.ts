/**
 * Normally distributed numbers out of Philox words, defined so that any machine and any language gets the same bits.
 *
 * Notable: logarithm, sine and cosine are polynomials, so that a number is a fixed sequence of additions, multiplications,
 * divisions and one square root of doubles, which IEEE 754 rounds in one way; an engine may bring machine code for it
 * (`engine/native/normals.cc`) without changing a draw. Traded: two words make two numbers, however large the tails.
 *
 * @since 0.1.0
 */
import { block } from "./Philox.ts"

/** The words that a draw's key stands for: of the Philox key, and of its counter beside the number of the block. */
export interface NormalKey {
  readonly key0: number
  readonly key1: number
  readonly indexLow: number
  readonly indexHigh: number
  readonly step: number
}

/** Fills an array with the first numbers of a key. */
export type FillNormals = (out: Float32Array, key: NormalKey) => void

const halves = Float64Array.from({ length: 34 }, (_, power) => 2 ** -power)

/** √(−2 ln u) with u = (word + ½) / 2³², so above zero: Box–Muller's radius. Relative error below 1e-12. */
const radius = (word: number): number => {
  const leading = 32 - Math.clz32(word)
  let mantissa = (2 * (word >>> 0) + 1) * halves[leading]!
  let exponent = leading - 33
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5
    exponent++
  }
  const s = (mantissa - 1) / (mantissa + 1), z = s * s
  const series = 1 + z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * (1 / 15)))))))
  return Math.sqrt(-2 * (exponent * 0.6931471805599453 + 2 * s * series))
}

/** Writes radius · (cos, sin) of word / 2³² turns; the quarter is taken off first, exactly. */
const turn = (out: Float32Array, at: number, radius: number, word: number): void => {
  const quarter = (word + 0x20000000) >>> 30
  const a = ((word - (quarter << 30)) | 0) * (3.141592653589793 / 2147483648), z = a * a
  const sine = a * (1 + z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 + z * (-1 / 39916800 + z * (1 / 6227020800)))))))
  const cosine = 1 + z * (-1 / 2 + z * (1 / 24 + z * (-1 / 720 + z * (1 / 40320 + z * (-1 / 3628800 + z * (1 / 479001600 + z * (-1 / 87178291200)))))))
  const along = (quarter & 1) === 1 ? sine : cosine, across = (quarter & 1) === 1 ? cosine : sine
  out[at] = radius * (quarter === 1 || quarter === 2 ? -along : along)
  out[at + 1] = radius * (quarter >= 2 ? -across : across)
}

/** The definition: four words of a block make four numbers by Box–Muller, |x| < 6.8. */
export const fillNormals: FillNormals = (out, { indexHigh, indexLow, key0, key1, step }) => {
  const words = new Int32Array(4)
  const drawn = new Float32Array(4)
  for (let i = 0, number = 0; i < out.length; i += 4, number++) {
    block(words, number, step, indexLow, indexHigh, key0, key1)
    turn(drawn, 0, radius(words[0]!), words[1]!)
    turn(drawn, 2, radius(words[2]!), words[3]!)
    for (let j = 0; j < 4 && i + j < out.length; j++) out[i + j] = drawn[j]!
  }
}

let fastest: FillNormals = fillNormals

/** Takes another implementation of {@link fillNormals} for long draws from now on: the same bits, sooner. */
export const accelerateNormals = (fill: FillNormals): void => {
  fastest = fill
}

/** Below this a call into machine code costs more than it saves. */
const shortest = 64

/** Fills `out` with the first numbers of a key, by the fastest implementation that there is. */
export const normals = (key: NormalKey, out: Float32Array): Float32Array => {
  ;(out.length < shortest ? fillNormals : fastest)(out, key)
  return out
}

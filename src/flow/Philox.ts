/**
 * Philox4x32-10: a random function of a 128-bit counter and a 64-bit key, with no state to carry or to share.
 *
 * @source Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011); constants as in Random123
 * @since 0.1.0
 */

const multiplier0 = 0xd2511f53
const multiplier1 = 0xcd9e8d57
const weyl0 = 0x9e3779b9 | 0
const weyl1 = 0xbb67ae85 | 0

const low0 = multiplier0 & 0xffff, high0 = multiplier0 >>> 16
const low1 = multiplier1 & 0xffff, high1 = multiplier1 >>> 16

/**
 * Writes the four 32-bit words of one block into `out`; every argument is read as 32 bits.
 *
 * The upper half of a 32 × 32-bit product is assembled from 16-bit halves, whose partial sums never pass 32 bits:
 * that keeps the loop in machine integers, an order of magnitude faster than `BigInt`.
 */
export const block = (
  out: Int32Array,
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
  key0: number,
  key1: number
): void => {
  let c0 = counter0 | 0, c1 = counter1 | 0, c2 = counter2 | 0, c3 = counter3 | 0
  let k0 = key0 | 0, k1 = key1 | 0
  for (let round = 0; round < 10; round++) {
    const a = c0 & 0xffff, b = c0 >>> 16
    const p = (Math.imul(high0, a) + (Math.imul(low0, a) >>> 16)) | 0
    const q = (Math.imul(low0, b) + (p & 0xffff)) | 0
    const upper0 = (Math.imul(high0, b) + (p >>> 16) + (q >>> 16)) | 0

    const c = c2 & 0xffff, d = c2 >>> 16
    const r = (Math.imul(high1, c) + (Math.imul(low1, c) >>> 16)) | 0
    const s = (Math.imul(low1, d) + (r & 0xffff)) | 0
    const upper1 = (Math.imul(high1, d) + (r >>> 16) + (s >>> 16)) | 0

    const lower0 = Math.imul(multiplier0, c0), lower1 = Math.imul(multiplier1, c2)
    c0 = upper1 ^ c1 ^ k0
    c1 = lower1
    c2 = upper0 ^ c3 ^ k1
    c3 = lower0
    k0 = (k0 + weyl0) | 0
    k1 = (k1 + weyl1) | 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/**
 * Draws that depend on their key alone, so that buffering, batching, resuming or running in another order changes none.
 *
 * A draw's key is (seed, purpose, index, step). The seed and the purpose make the key of a Philox function, the index
 * and the step its counter: there is no state, and the first n values of a long draw are the short draw.
 *
 * @since 0.1.0
 */
import { requireArgument } from "./errors.ts"
import { normals } from "./Normals.ts"
import { block } from "./Philox.ts"
import type { DrawKey, RandomSource } from "./RandomSource.ts"

export type { DrawKey, RandomSource } from "./RandomSource.ts"
export { recorded, type Recording, stepMajor } from "./Recorded.ts"

/** Names a source directly or by the seed of a {@link keyed} one. */
export type Seeded = { readonly source: RandomSource } | { readonly seed: number }

const twoPower32 = 4294967296
/** Top bit of the counter: normal and uniform draws of one key share no bits. */
const uniformBit = 0x80000000 | 0

/** 64 bits of a text, as two 32-bit words: two multiplicative hashes with crossed finalisers. */
const hashText = (text: string): readonly [number, number] => {
  let a = 0xdeadbeef | 0, b = 0x41c6ce57 | 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 0x9e3779b1)
    b = Math.imul(b ^ unit, 0x5f356495)
  }
  const mix = (x: number, y: number) => Math.imul(x ^ (x >>> 16), 0x85ebca6b) ^ Math.imul(y ^ (y >>> 13), 0xc2b2ae35)
  return [mix(a, b), mix(b, a)]
}

const purposeKey = (seed: number, purpose: string): readonly [number, number] => {
  const words = new Int32Array(4)
  const [a, b] = hashText(purpose)
  block(words, a, b, purpose.length, 0, seed, Math.floor(seed / twoPower32))
  return [words[0]!, words[1]!]
}

const checkDraw = (name: string, { index, step = 0 }: DrawKey, length: number): void => {
  const integer = (value: number, limit: number) => Number.isInteger(value) && value >= 0 && value < limit
  requireArgument(integer(index, 2 ** 52), `${name}.index`, "an integer in [0, 2^52)", index)
  requireArgument(integer(step, twoPower32), `${name}.step`, "an integer in [0, 2^32)", step)
  requireArgument(integer(length, twoPower32), `${name}.length`, "an integer in [0, 2^32)", length)
}

const fillUniforms = (out: Float32Array, [key0, key1]: readonly [number, number], { index, step = 0 }: DrawKey): Float32Array => {
  const words = new Int32Array(4)
  const high = Math.floor(index / twoPower32) | uniformBit
  for (let i = 0, number = 0; i < out.length; i += 4, number++) {
    block(words, number, step, index, high, key0, key1)
    for (let j = 0; j < 4 && i + j < out.length; j++) out[i + j] = (words[j]! >>> 8) / 16777216
  }
  return out
}

/** The source of every ordinary run: Philox4x32-10 keyed by `seed` (a safe integer) and the draw's purpose. */
export const keyed = (seed: number): RandomSource => {
  requireArgument(Number.isSafeInteger(seed), "Random.keyed.seed", "a safe integer", seed)
  const keys = new Map<string, readonly [number, number]>()
  const keyOf = (purpose: string) => {
    const known = keys.get(purpose)
    if (known !== undefined) return known
    const key = purposeKey(seed, purpose)
    keys.set(purpose, key)
    return key
  }
  return {
    normal: (key, length, out) => {
      checkDraw("Random.normal", key, length)
      const [key0, key1] = keyOf(key.purpose)
      const { index, step = 0 } = key
      return normals({ key0, key1, indexLow: index | 0, indexHigh: Math.floor(index / twoPower32), step }, out ?? new Float32Array(length))
    },
    uniform: (key, length) => {
      checkDraw("Random.uniform", key, length)
      return fillUniforms(new Float32Array(length), keyOf(key.purpose), key)
    }
  }
}

/** The source that options name. */
export const sourceOf = (options: Seeded): RandomSource => "source" in options ? options.source : keyed(options.seed)

/**
 * One draw of `width` values for each of `indices`, laid out `[indices.length, width]`.
 * A row's values depend on its own index, so how rows fall into batches changes nothing.
 */
export const rows = (
  draw: RandomSource["normal"],
  key: { readonly purpose: string; readonly indices: ArrayLike<number>; readonly step?: number },
  width: number
): Float32Array => {
  const { indices, purpose, step = 0 } = key
  const out = new Float32Array(indices.length * width)
  for (let row = 0; row < indices.length; row++) {
    const place = out.subarray(row * width, (row + 1) * width)
    const drawn = draw({ purpose, index: indices[row]!, step }, width, place)
    // A source of somebody's own may have made another array.
    if (drawn !== place) place.set(drawn)
  }
  return out
}

/** A uniformly random permutation of 0 … length − 1 (Fisher–Yates on 48-bit uniforms). */
export const permutation = (source: RandomSource, key: DrawKey, length: number): Uint32Array => {
  const order = Uint32Array.from({ length }, (_, i) => i)
  const uniform = source.uniform(key, 2 * length)
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor((uniform[2 * i]! + uniform[2 * i + 1]! / 16777216) * (i + 1))
    const held = order[i]!
    order[i] = order[j]!
    order[j] = held
  }
  return order
}

/** Where position `i` of a shuffled data set of `length` rows is read from; another `epoch` is another order. */
export const shuffledIndex = (
  options: Seeded & { readonly length: number; readonly epoch?: number }
): (position: number) => number => {
  const order = permutation(sourceOf(options), { purpose: "shuffledIndex", index: options.epoch ?? 0 }, options.length)
  return (position) => {
    requireArgument(position in order, "Random.shuffledIndex.position", `in [0, ${options.length})`, position)
    return order[position]!
  }
}

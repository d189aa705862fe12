/**
 * A mask of pairs, carried out by an encoder that only knows a mask of keys.
 *
 * A mask `[B, S, S]` says for each query which keys it sees; most ONNX encoders take `[B, S]`, one set of keys for all
 * queries. Queries that see the same keys P can share a pass with mask P. That pass is exact for them if every key of P
 * sees P itself: then what the keys become, layer by layer, is the same as under the mask of pairs, and nothing outside
 * of P has a part in it. A condition by itself is such a set, and so are the rest of a row whose label is dropped, and a
 * row without condition. The rest of a row that sees its condition is none: there the condition's own states depend on
 * less than the pass would show it.
 */

/** Passes that together do what a mask of pairs says. */
export interface MaskPasses {
  /** For each pass the row that it is about. */
  readonly rows: ReadonlyArray<number>
  /** For each pass its keys, 1 = seen, `[passes, S]`. */
  readonly keys: Float32Array
  /** For each position the pass that its latent is taken from, `[B, S]`; −1: it sees nothing and has no latent. */
  readonly take: Int32Array
}

/** Why there are none: `query` of `row` sees `key`, which sees other keys than `query` does. */
export interface MixedMask {
  readonly row: number
  readonly query: number
  readonly key: number
}

const sameKeys = (mask: Float32Array, a: number, b: number, length: number): boolean => {
  for (let key = 0; key < length; key++) if (mask[a + key] !== mask[b + key]) return false
  return true
}

/** For each query of a row the first query that sees the same keys. */
const representatives = (mask: Float32Array, row: number, length: number): Int32Array => {
  const first = new Int32Array(length)
  const kinds: Array<number> = []
  const at = (query: number) => (row * length + query) * length
  for (let query = 0; query < length; query++) {
    const known = kinds.find((kind) => sameKeys(mask, at(kind), at(query), length))
    if (known === undefined) kinds.push(query)
    first[query] = known ?? query
  }
  return first
}

const mixedKey = (keys: Float32Array, first: Int32Array, query: number): number => keys.findIndex((seen, key) => seen === 1 && first[key] !== query)

/** Splits a mask `[B, S, S]` of zeros and ones into passes, or says where it cannot be split exactly. */
export const maskPasses = (mask: Float32Array, size: number, length: number): MaskPasses | MixedMask => {
  const rows: Array<number> = []
  const passes: Array<Float32Array> = []
  const take = new Int32Array(size * length).fill(-1)
  for (let row = 0; row < size; row++) {
    const first = representatives(mask, row, length)
    for (const query of new Set(first)) {
      const keys = mask.subarray((row * length + query) * length, (row * length + query + 1) * length)
      if (keys.every((seen) => seen === 0)) continue
      const key = mixedKey(keys, first, query)
      if (key !== -1) return { row, query, key }
      first.forEach((kind, position) => { if (kind === query) take[row * length + position] = passes.length })
      rows.push(row)
      passes.push(keys)
    }
  }
  const keys = new Float32Array(passes.length * length)
  passes.forEach((each, i) => keys.set(each, i * length))
  return { rows, keys, take }
}

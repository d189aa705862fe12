/**
 * N-grams as nodes of a tree, each with its count: a node is its parent's n-gram and one token more.
 *
 * Notable: nodes lie in typed arrays and are found through one hash table, so a corpus of millions of tokens fits in
 * memory and is counted in seconds.
 *
 * @since 0.1.0
 */

/** A tree of n-grams. Node 0 is the empty one; a parent comes before its children. */
export interface NgramTrie {
  /** Nodes, the empty n-gram included. */
  readonly size: () => number
  /** The n-gram without its last token. */
  readonly parent: (node: number) => number
  /** Its last token. */
  readonly token: (node: number) => number
  readonly count: (node: number) => number
  /** Tokens of the n-gram. */
  readonly depth: (node: number) => number
  /** The node of `parent`'s n-gram followed by `token`; −1 where there is none. */
  readonly find: (parent: number, token: number) => number
}

/** A tree that grows. */
export interface GrowingTrie extends NgramTrie {
  /** Like `find`, and makes the node if there is none. */
  readonly add: (parent: number, token: number) => number
  readonly increase: (node: number, by: number) => void
}

const grown = <A extends Int32Array | Uint8Array>(array: A, make: new (length: number) => A): A => {
  const next = new make(2 * array.length)
  next.set(array)
  return next
}

/** Spreads neighbouring keys over the table. */
const mixed = (parent: number, token: number): number => {
  const key = Math.imul(parent, 0x9e3779b1) ^ Math.imul(token, 0x85ebca6b)
  return Math.imul(key ^ (key >>> 15), 0x2c1b3c6d) >>> 0
}

/** An empty tree; `expected` nodes are made room for at once. */
export const makeTrie = (expected = 1 << 10): GrowingTrie => {
  const capacity = 1 << Math.max(4, Math.ceil(Math.log2(expected + 1)))
  let [parents, tokens, counts, depths] = [new Int32Array(capacity), new Int32Array(capacity), new Int32Array(capacity), new Uint8Array(capacity)]
  // Twice the nodes' room, so that at least half of it stays free. 0 is a free place: the empty n-gram is never looked for.
  let table = new Int32Array(2 * capacity)
  let size = 1

  /** Where the node is in the table, or the free place where it belongs. */
  const placeOf = (parent: number, token: number): number => {
    const last = table.length - 1
    let place = mixed(parent, token) & last
    while (table[place] !== 0 && (parents[table[place]!] !== parent || tokens[table[place]!] !== token)) place = (place + 1) & last
    return place
  }

  const grow = () => {
    ;[parents, tokens, counts, depths] = [grown(parents, Int32Array), grown(tokens, Int32Array), grown(counts, Int32Array), grown(depths, Uint8Array)]
    table = new Int32Array(2 * parents.length)
    for (let node = 1; node < size; node++) table[placeOf(parents[node]!, tokens[node]!)] = node
  }

  return {
    size: () => size,
    parent: (node) => parents[node]!,
    token: (node) => tokens[node]!,
    count: (node) => counts[node]!,
    depth: (node) => depths[node]!,
    find: (parent, token) => table[placeOf(parent, token)]! || -1,
    add: (parent, token) => {
      const known = table[placeOf(parent, token)]!
      if (known !== 0) return known
      if (size === parents.length) grow()
      parents[size] = parent
      tokens[size] = token
      depths[size] = depths[parent]! + 1
      table[placeOf(parent, token)] = size
      return size++
    },
    increase: (node, by) => {
      counts[node]! += by
    }
  }
}

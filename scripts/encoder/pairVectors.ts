/**
 * Initial token vectors that know which tokens translate each other: those that keep the same company in pairs.
 *
 * What a token keeps company with are the tokens of the inputs and those of the outputs that it occurs in a pair with,
 * weighted by positive pointwise mutual information; the vectors are the leading singular vectors of that table. "Datei" and
 * "file" occur in the same pairs, so they point the same way.
 *
 * @source Levy and Goldberg, Neural Word Embedding as Implicit Matrix Factorization; Levy, Søgaard and Goldberg, A Strong
 * Baseline for Learning Cross-Lingual Word Embeddings from Sentence Alignments
 */
import type { RandomSource } from "../../src/flow/Random.ts"

/** A sparse table, a row for each token. */
interface Table {
  /** Where each row starts, `[rows + 1]` */
  readonly starts: Uint32Array
  readonly columns: Uint32Array
  readonly values: Float32Array
}

type Pair = { readonly condition: ArrayLike<number>; readonly target: ArrayLike<number> }

const counts = (pairs: Iterable<Pair>, vocabulary: number): ReadonlyArray<Map<number, number>> => {
  const rows = Array.from({ length: vocabulary }, () => new Map<number, number>())
  for (const { condition, target } of pairs) {
    const inputs = new Set(Array.from(condition))
    const outputs = new Set(Array.from(target))
    const company = [...inputs, ...Array.from(outputs, (id) => vocabulary + id)]
    for (const id of new Set([...inputs, ...outputs])) {
      for (const other of company) rows[id]!.set(other, (rows[id]!.get(other) ?? 0) + 1)
    }
  }
  return rows
}

const sum = (values: Iterable<number>): number => {
  let total = 0
  for (const value of values) total += value
  return total
}

const positiveMutualInformation = (rows: ReadonlyArray<Map<number, number>>): Table => {
  const columnTotals = new Float64Array(2 * rows.length)
  for (const row of rows) for (const [column, count] of row) columnTotals[column]! += count
  const total = sum(columnTotals)
  const starts = new Uint32Array(rows.length + 1)
  const columns: Array<number> = []
  const values: Array<number> = []
  rows.forEach((row, index) => {
    const rowTotal = sum(row.values())
    for (const [column, count] of row) {
      const information = Math.log((count * total) / (rowTotal * columnTotals[column]!))
      if (information > 0) {
        columns.push(column)
        values.push(information)
      }
    }
    starts[index + 1] = columns.length
  })
  return { starts, columns: Uint32Array.from(columns), values: Float32Array.from(values) }
}

/** table · (tableᵀ · x), x `[rows, width]` */
const squareTimes = ({ columns, starts, values }: Table, x: Float32Array, width: number): Float32Array => {
  const rows = starts.length - 1
  const inner = new Float32Array(2 * rows * width)
  for (let row = 0; row < rows; row++) {
    for (let entry = starts[row]!; entry < starts[row + 1]!; entry++) {
      const at = columns[entry]! * width
      for (let k = 0; k < width; k++) inner[at + k]! += values[entry]! * x[row * width + k]!
    }
  }
  const result = new Float32Array(rows * width)
  for (let row = 0; row < rows; row++) {
    for (let entry = starts[row]!; entry < starts[row + 1]!; entry++) {
      const at = columns[entry]! * width
      for (let k = 0; k < width; k++) result[row * width + k]! += values[entry]! * inner[at + k]!
    }
  }
  return result
}

/** Makes the columns of x `[rows, width]` orthonormal in place, by Gram and Schmidt. → their lengths before */
const orthonormalize = (x: Float32Array, width: number): Float64Array => {
  const rows = x.length / width
  const lengths = new Float64Array(width)
  for (let k = 0; k < width; k++) {
    for (let j = 0; j < k; j++) {
      let product = 0
      for (let row = 0; row < rows; row++) product += x[row * width + j]! * x[row * width + k]!
      for (let row = 0; row < rows; row++) x[row * width + k]! -= product * x[row * width + j]!
    }
    let square = 0
    for (let row = 0; row < rows; row++) square += x[row * width + k]! ** 2
    lengths[k] = Math.sqrt(square)
    for (let row = 0; row < rows; row++) x[row * width + k]! /= lengths[k]! || 1
  }
  return lengths
}

/** How far a vector is its token's own, beside what it shares with others: a share of noise keeps likenesses apart. */
const ownShare = 0.3
const iterations = 8

/**
 * Vectors of mean 0 and entries of variance about 1, `[vocabulary, width]`.
 */
export const pairVectors = (pairs: Iterable<Pair>, vocabulary: number, width: number, source: RandomSource): Float32Array => {
  const table = positiveMutualInformation(counts(pairs, vocabulary))
  const noise = source.normal({ purpose: "pairVectors", index: 0 }, vocabulary * width)
  let basis = Float32Array.from(noise)
  let squares = orthonormalize(basis, width)
  for (let i = 0; i < iterations; i++) {
    basis = squareTimes(table, basis, width) as Float32Array<ArrayBuffer>
    squares = orthonormalize(basis, width)
  }
  const vectors = new Float32Array(vocabulary * width)
  for (let row = 0; row < vocabulary; row++) {
    const weighted = Array.from({ length: width }, (_, k) => basis[row * width + k]! * squares[k]! ** 0.25)
    // The first direction is how frequent a token is.
    weighted[0] = 0
    const scale = Math.sqrt(width) / (Math.hypot(...weighted) || Infinity)
    weighted.forEach((value, k) => {
      vectors[row * width + k] = (value * scale + ownShare * noise[row * width + k]!) / Math.hypot(1, ownShare)
    })
  }
  return vectors
}

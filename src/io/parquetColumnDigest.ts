/**
 * A column read to its end: how much is in it, and a digest of its values, for comparing files whatever wrote them.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import type { DecodedArray } from "hyparquet"
import { createHash, type Hash } from "node:crypto"
import { Timestamp } from "./parquet/convert.ts"
import type { ParquetError } from "./ParquetError.ts"
import type { ParquetFile } from "./ParquetFile.ts"

/** What a column holds. */
export interface ColumnDigest {
  readonly rows: number
  readonly nulls: number
  /** Code points of texts, elements of lists, bytes of byte strings. */
  readonly characters: number
  /**
   * Over each value that is not null, followed by a newline: a text's UTF-8, bytes as they are, a number as a decimal, a
   * list's elements with a space between, a moment as nanoseconds since 1970, a struct or map as JSON.
   */
  readonly sha256: string
}

const codePoints = (text: string): number => {
  let count = text.length
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xd800) count--
  return count
}

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof Uint8Array))

const jsonValue = (_: string, value: unknown): unknown => {
  if (typeof value === "bigint") return String(value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex")
  return isList(value) ? Array.from(value) : value
}

const textOf = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return String(value)
  if (value instanceof Timestamp) return String(value.nanoseconds)
  if (value instanceof Date) return value.toISOString()
  return isList(value) ? Array.prototype.map.call(value, textOf).join(" ") : JSON.stringify(value, jsonValue)
}

class Tally {
  rows = 0
  nulls = 0
  characters = 0
  readonly #sha: Hash = createHash("sha256")

  add(values: DecodedArray): void {
    let lines: Array<string> = []
    const flush = () => {
      if (lines.length > 0) this.#sha.update(`${lines.join("\n")}\n`)
      lines = []
    }
    for (const value of values as Iterable<unknown>) {
      if (value === null) this.nulls++
      else if (value instanceof Uint8Array) {
        flush()
        this.characters += value.length
        this.#sha.update(value).update("\n")
      } else {
        const text = typeof value === "string" ? value : textOf(value)
        this.characters += isList(value) ? value.length : codePoints(text)
        lines.push(text)
      }
    }
    flush()
    this.rows += values.length
  }

  get digest(): ColumnDigest {
    const { characters, nulls, rows } = this
    return { rows, nulls, characters, sha256: this.#sha.digest("hex") }
  }
}

/**
 * Reads a column to its end in bounded memory; `watch` hears of the rows read. Fails like any read: with
 * `missingColumn`, or on damage with its place.
 */
export const digestColumn = (
  file: ParquetFile,
  name: string,
  watch: (rows: number) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<ColumnDigest, ParquetError> =>
  Effect.gen(function*() {
    const column = yield* file.column(name)
    const tally = new Tally()
    for (const group of file.rowGroups) {
      yield* Stream.runForEach(file.readPieces(group, column), (piece) => {
        tally.add(piece)
        return watch(tally.rows)
      })
    }
    return tally.digest
  })

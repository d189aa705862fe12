/** The canonical form of values and the digests of whole files, as fixtures/expected_digests.py writes them from pyarrow. */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { Parquet } from "../../src/io/index.ts"

const numberOf = (value: number): string => {
  if (Number.isNaN(value)) return "nan"
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) return String(value)
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return `f${bytes.toString("hex")}`
}

const objectOf = (value: object): string => {
  // Nanoseconds in 64 bits: pyarrow lets moments of INT96 overflow there.
  if (value instanceof Parquet.Timestamp) return `t${BigInt.asIntN(64, value.nanoseconds)}`
  if (value instanceof Date) return `d${value.getTime() / 86_400_000}`
  if (value instanceof Uint8Array) return `b${Buffer.from(value).toString("hex")}`
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return `[${Array.from(value as ArrayLike<unknown>, canonical).join(",")}]`
  return `{${Object.entries(value).map(([name, field]) => `${name}=${canonical(field)}`).join(",")}}`
}

/** One value, so that no two different ones look alike. */
const canonical = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  if (typeof value === "string") return `s${Buffer.byteLength(value)}:${value}`
  if (typeof value === "number") return numberOf(value)
  return typeof value === "object" ? objectOf(value) : String(value)
}

export interface FileDigest {
  readonly rows: number
  readonly columns: ReadonlyArray<readonly [name: string, sha256: string]>
}

/** Reads every column of a file to its end. */
export const digestFile = (path: string): Effect.Effect<FileDigest, Parquet.ParquetError> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* Parquet.open(path)
    const columns: Array<readonly [string, string]> = []
    for (const column of file.columns) {
      const sha = createHash("sha256")
      for (const group of file.rowGroups) {
        const values = yield* file.readColumn(group, column)
        for (let i = 0; i < values.length; i++) sha.update(`${canonical(values[i])}\n`)
      }
      columns.push([column.name, sha.digest("hex")])
    }
    return { rows: file.rows, columns }
  }))

/**
 * The footer of a parquet file: found, parsed, and checked against the file and itself before anything else is read.
 *
 * @since 0.1.0
 */
import { type ColumnMetaData, type FileMetaData, parquetMetadata, parquetSchema, type SchemaElement } from "hyparquet"
import { Damage, require } from "./Damage.ts"
import { FileSchema, type Leaf } from "./schema.ts"
import { endOfStruct } from "./thrift.ts"

/** Length (4 bytes) and magic behind the footer's metadata. */
export const trailerBytes = 8

/** The footer that `tail`, the end of the file, holds. */
export const parseFooter = (tail: Uint8Array<ArrayBuffer>): FileMetaData => {
  const begin = tail.length - trailerBytes - metadataBytes(tail)
  const end = endOfStruct(tail.subarray(0, tail.length - trailerBytes), begin)
  require(end <= tail.length - trailerBytes, "the footer is longer than its length says")
  try {
    return parquetMetadata(tail, { geoparquet: false })
  } catch (cause) {
    throw new Damage(`the footer cannot be read (${cause instanceof Error ? cause.message : String(cause)})`)
  }
}

/** Bytes of metadata that the trailer promises. */
export const metadataBytes = (tail: Uint8Array): number =>
  new DataView(tail.buffer, tail.byteOffset, tail.byteLength).getUint32(tail.length - trailerBytes, true)

/** parquet-mr before 1.2.9 left the header of the dictionary out of a chunk's size. */
const forgottenBytes = (createdBy: string | undefined): number => {
  const [, major, minor, patch] = /^parquet-mr(?: version (\d+)\.(\d+)\.(\d+))?/.exec(createdBy ?? "") ?? [undefined, "9", "9", "9"]
  return Number(major ?? 0) * 1e6 + Number(minor ?? 0) * 1e3 + Number(patch ?? 0) < 1_002_009 ? 100 : 0
}

/** Where a column chunk begins and ends; some writers give 0 for a dictionary that is not there. */
const chunkRange = (chunk: ColumnMetaData): readonly [begin: number, end: number] => {
  const [dictionary, data] = [Number(chunk.dictionary_page_offset ?? 0), Number(chunk.data_page_offset)]
  const begin = dictionary > 0 && dictionary < data ? dictionary : data
  return [begin, begin + Number(chunk.total_compressed_size)]
}

/** Where to read a column chunk: a little further where its writer is known to count too little. */
export const readRange = (chunk: ColumnMetaData, metadata: FileMetaData, bytes: number): readonly [begin: number, end: number] => {
  const [begin, end] = chunkRange(chunk)
  return [begin, Math.min(end + forgottenBytes(metadata.created_by), bytes)]
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(Number(value)) && Number(value) >= 0

const checkChunk = (chunk: ColumnMetaData | undefined, leaf: Leaf, rows: number, bytes: number): void => {
  const name = leaf.path.join(".")
  if (chunk === undefined) throw new Damage("the column is encrypted or has no metadata", "unsupported")
  require(chunk.path_in_schema.join(".") === name, () => `the column is called "${chunk.path_in_schema.join(".")}" in its row group`)
  require(chunk.type === leaf.element.type, () => `the column holds ${chunk.type} where the schema says ${leaf.element.type}`)
  require(isCount(chunk.num_values) && isCount(chunk.total_uncompressed_size), "the column claims impossible sizes")
  const [begin, end] = chunkRange(chunk)
  const inside = begin >= 0 && end >= begin && end <= bytes
  require(inside, `the column claims bytes ${begin} to ${end} of a file of ${bytes}`)
  const values = Number(chunk.num_values)
  const fits = leaf.maxRepetition === 0 ? values === rows : values >= rows
  require(fits, `the column claims ${values} values for ${rows} rows`)
}

/** Old and new names of one type that the schema may give side by side. */
const sameType: Readonly<Record<string, ReadonlyArray<string>>> = {
  UTF8: ["STRING"], ENUM: ["ENUM"], JSON: ["JSON"], BSON: ["BSON"], LIST: ["LIST"], MAP: ["MAP"], MAP_KEY_VALUE: ["MAP"],
  DECIMAL: ["DECIMAL"], DATE: ["DATE"], TIME_MILLIS: ["TIME"], TIME_MICROS: ["TIME"], TIMESTAMP_MILLIS: ["TIMESTAMP"],
  TIMESTAMP_MICROS: ["TIMESTAMP"], INTERVAL: []
}

/** A writer that gives a type twice must mean the same; a damaged byte usually does not. */
const checkTypes = ({ converted_type: old, logical_type: logical, name, precision, scale }: SchemaElement): void => {
  if (old === undefined || logical?.type === undefined) return
  const expected = sameType[old] ?? ["INTEGER"]
  const same = expected.includes(logical.type)
    && (logical.type !== "INTEGER" || old === `${logical.isSigned ? "" : "U"}INT_${logical.bitWidth}`)
    && (logical.type !== "DECIMAL" || (logical.precision === precision && logical.scale === (scale ?? 0)))
    && (logical.type !== "TIMESTAMP" && logical.type !== "TIME" || old.endsWith(logical.unit))
  require(same, `column "${name}" is of type ${old} and ${logical.type} at once`)
}

/** Damage and where it was found. */
export class PlacedDamage extends Damage {
  readonly place: { readonly rowGroup: number; readonly column?: string }
  constructor({ message, reason }: Damage, place: PlacedDamage["place"]) {
    super(message, reason)
    this.place = place
  }
}

const at = (place: PlacedDamage["place"], check: () => void): void => {
  try {
    check()
  } catch (cause) {
    throw cause instanceof Damage && !(cause instanceof PlacedDamage) ? new PlacedDamage(cause, place) : cause
  }
}

const checkGroup = (metadata: FileMetaData, rowGroup: number, schema: FileSchema, bytes: number): void => {
  const { columns, num_rows: rows } = metadata.row_groups[rowGroup]!
  require(isCount(rows), `the row group claims ${rows} rows`)
  require(columns.length === schema.leaves.length, `the row group has ${columns.length} columns where the schema has ${schema.leaves.length}`)
  for (const [i, { file_path: path, meta_data: chunk }] of columns.entries()) {
    at({ rowGroup, column: schema.leaves[i]!.path.join(".") }, () => {
      if (path) throw new Damage(`the data is in another file (${path})`, "unsupported")
      checkChunk(chunk, schema.leaves[i]!, Number(rows), bytes)
    })
  }
}

/** Checks what a footer claims against a file of `bytes` bytes; throws {@link Damage}. */
export const checkFooter = (metadata: FileMetaData, bytes: number): FileSchema => {
  const { row_groups: groups, schema: elements } = metadata
  for (const element of elements) checkTypes(element)
  const tree = parquetSchema(metadata)
  require(tree.count === elements.length, `the schema has ${elements.length} elements where ${tree.count} are joined`)
  const schema = new FileSchema(tree)
  for (const index of groups.keys()) at({ rowGroup: index }, () => checkGroup(metadata, index, schema, bytes))
  const rows = groups.reduce((sum, group) => sum + Number(group.num_rows), 0)
  // Some writers leave the footer's own total at 0; the row groups are what is read.
  const total = Number(metadata.num_rows)
  require(total === rows || total === 0, `the footer claims ${total} rows, its row groups have ${rows}`)
  return schema
}

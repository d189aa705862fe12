/**
 * The footer of a file that carries columns of another: that one's own words for them, with the places changed.
 *
 * Schema, types, statistics and whatever else the other file says of a column are copied as they stand, not read and
 * written again. Field numbers are those of `parquet.thrift`.
 *
 * @since 0.1.0
 */
import type { ColumnMetaData, KeyValue, SchemaElement } from "hyparquet"
import { ByteWriter, ParquetWriter } from "hyparquet-writer"
import { i32, i64, integerOf, readStruct, type Struct, structList, structsOf, textOf, type Thrift, withFields, writeStruct } from "./thrift.ts"

/** Four bytes that begin and end every file. */
export const magic: Uint8Array = new TextEncoder().encode("PAR1")

/** Length of the footer's size and the closing mark. */
const tailLength = 8

const file = { schema: 2, rows: 3, rowGroups: 4, keyValues: 5, createdBy: 6, columnOrders: 7 } as const
const element = { name: 4, children: 5 } as const
const rowGroup = { columns: 1, totalSize: 2, rows: 3, sorting: 4, fileOffset: 5, compressedSize: 6, ordinal: 7 } as const
const chunk = { fileOffset: 2, metadata: 3, offsetIndex: 4, offsetIndexLength: 5, columnIndex: 6, columnIndexLength: 7 } as const
const column = { path: 3, uncompressedSize: 6, compressedSize: 7, dataPage: 9, indexPage: 10, dictionaryPage: 11, bloomFilter: 14, bloomFilterLength: 15 } as const

/** Columns that were written here. */
export interface AddedColumns {
  /** Each column's own elements. */
  readonly schema: ReadonlyArray<ReadonlyArray<SchemaElement>>
  /** In the order of the schema's leaves; offsets count from the start of the file. Empty where there are no rows. */
  readonly chunks: ReadonlyArray<ColumnMetaData>
  readonly rows: number
}

/** Where the bytes of a chunk begin, and how many they are. */
export interface ChunkPlace {
  readonly start: number
  readonly bytes: number
}

/** Columns whose bytes were copied from another file. */
export interface CarriedColumns {
  /** That file's footer. */
  readonly footer: Struct
  readonly rowGroup: number
  /** Top-level names, in the order in which they are to stand. */
  readonly columns: ReadonlyArray<string>
  /** Where the bytes of each of their chunks are now. */
  readonly places: ReadonlyArray<ChunkPlace>
}

const addedFooter = ({ chunks, rows, schema }: AddedColumns): Struct => {
  const writer = new ByteWriter()
  const root: SchemaElement = { name: "schema", num_children: schema.length }
  const parquet = new ParquetWriter({ writer, schema: [root, ...schema.flat()], createdBy: "elf-streams" })
  parquet.num_rows = BigInt(rows)
  const total = (size: (chunk: ColumnMetaData) => bigint) => chunks.reduce((sum, chunk) => sum + size(chunk), 0n)
  parquet.row_groups.push({
    columns: chunks.map((meta_data) => ({ file_offset: 0n, meta_data })),
    num_rows: BigInt(rows),
    total_byte_size: total((chunk) => chunk.total_uncompressed_size),
    total_compressed_size: total((chunk) => chunk.total_compressed_size)
  })
  void parquet.finish()
  return readStruct(writer.getBytes().subarray(magic.length))
}

interface Tree {
  readonly elements: ReadonlyArray<Struct>
  readonly leaves: number
}

/** Each top-level column's elements and number of leaves, by name. */
const treesOf = (elements: ReadonlyArray<Struct>): ReadonlyMap<string, Tree> => {
  const found = new Map<string, Tree>()
  const end = (at: number): number => {
    let next = at + 1
    for (let child = integerOf(elements[at]!, element.children); child > 0n; child--) next = end(next)
    return next
  }
  for (let at = 1; at < elements.length;) {
    const next = end(at)
    const own = elements.slice(at, next)
    found.set(textOf(own[0]!, element.name), { elements: own, leaves: own.filter((each) => integerOf(each, element.children) === 0n).length })
    at = next
  }
  return found
}

const metadataOf = (each: Struct): Struct => each.value.get(chunk.metadata) as Struct

const topLevelName = (each: Struct): string => {
  const path = metadataOf(each).value.get(column.path)
  const [name] = path?.type === "list" ? path.value : []
  return name?.type === "binary" ? Buffer.from(name.value).toString("utf8") : ""
}

/** A chunk at its new place, without the indexes and filters that lie elsewhere in its file. */
const moved = (each: Struct, { bytes, start }: ChunkPlace): Struct => {
  const metadata = metadataOf(each)
  const [data, dictionary] = [integerOf(metadata, column.dataPage), integerOf(metadata, column.dictionaryPage)]
  const by = BigInt(start) - (dictionary > 0n && dictionary < data ? dictionary : data)
  return withFields(each, {
    [chunk.fileOffset]: i64(0n),
    [chunk.offsetIndex]: undefined,
    [chunk.offsetIndexLength]: undefined,
    [chunk.columnIndex]: undefined,
    [chunk.columnIndexLength]: undefined,
    [chunk.metadata]: withFields(metadata, {
      [column.compressedSize]: i64(BigInt(bytes)),
      [column.dataPage]: i64(data + by),
      [column.indexPage]: undefined,
      [column.dictionaryPage]: dictionary > 0n ? i64(dictionary + by) : undefined,
      [column.bloomFilter]: undefined,
      [column.bloomFilterLength]: undefined
    })
  })
}

const sizeOf = (chunks: ReadonlyArray<Struct>, size: number): Thrift =>
  i64(chunks.reduce((sum, each) => sum + integerOf(metadataOf(each), size), 0n))

const textField = (value: string): Thrift => ({ type: "binary", value: new TextEncoder().encode(value) })

const keyValue = ({ key, value }: KeyValue): Struct =>
  ({ type: "struct", value: new Map([[1, textField(key)], ...(value === undefined ? [] : [[2, textField(value)] as const])]) })

/** The orders of the carried leaves and the added ones; none where the other file says none. */
const columnOrders = (carried: CarriedColumns | undefined, added: Struct): Thrift | undefined => {
  if (carried === undefined) return added.value.get(file.columnOrders)
  const all = structsOf(carried.footer, file.columnOrders)
  if (all.length === 0) return undefined
  const byName = new Map<string, ReadonlyArray<Struct>>()
  let from = 0
  for (const [name, { leaves }] of treesOf(structsOf(carried.footer, file.schema))) byName.set(name, all.slice(from, from += leaves))
  return structList([...carried.columns.flatMap((name) => byName.get(name) ?? []), ...structsOf(added, file.columnOrders)])
}

const carriedParts = ({ columns, footer, places, rowGroup: index }: CarriedColumns) => {
  const trees = treesOf(structsOf(footer, file.schema))
  const group = structsOf(footer, file.rowGroups)[index]!
  const chunks = columns.flatMap((name) => structsOf(group, rowGroup.columns).filter((each) => topLevelName(each) === name))
  return {
    root: structsOf(footer, file.schema)[0]!,
    elements: columns.flatMap((name) => trees.get(name)?.elements ?? []),
    chunks: chunks.map((each, i) => moved(each, places[i]!))
  }
}

/** Key-value pairs of a file. */
export const keyValuesOf = (footer: Struct): ReadonlyArray<KeyValue> =>
  structsOf(footer, file.keyValues).map((pair) => ({ key: textOf(pair, 1), value: textOf(pair, 2) }))

/** The bytes behind the last column chunk of a file with one row group, or none. */
export const footer = (carried: CarriedColumns | undefined, added: AddedColumns, keyValues: ReadonlyArray<KeyValue>): Uint8Array => {
  const own = addedFooter(added)
  const [ownRoot, ...ownElements] = structsOf(own, file.schema)
  const [ownGroup] = structsOf(own, file.rowGroups)
  const parts = carried === undefined ? { root: ownRoot!, elements: [], chunks: [] } : carriedParts(carried)
  const chunks = [...parts.chunks, ...structsOf(ownGroup!, rowGroup.columns)]
  const children = (carried?.columns.length ?? 0) + added.schema.length
  const group = withFields(ownGroup!, {
    [rowGroup.columns]: structList(chunks),
    [rowGroup.totalSize]: sizeOf(chunks, column.uncompressedSize),
    [rowGroup.compressedSize]: sizeOf(chunks, column.compressedSize)
  })
  const bytes = writeStruct(withFields(own, {
    [file.schema]: structList([withFields(parts.root, { [element.children]: i32(children) }), ...parts.elements, ...ownElements]),
    [file.rowGroups]: structList(added.rows > 0 ? [group] : []),
    [file.keyValues]: structList(keyValues.map(keyValue)),
    [file.columnOrders]: columnOrders(carried, own)
  }))
  const out = new Uint8Array(bytes.length + tailLength)
  out.set(bytes)
  new DataView(out.buffer).setUint32(bytes.length, bytes.length, true)
  out.set(magic, bytes.length + 4)
  return out
}

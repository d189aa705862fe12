/**
 * Columns encoded run by run: the pages of all runs, one behind the other, are the column's chunk. So a row group can be
 * written whose rows were never in memory together.
 *
 * @since 0.1.0
 */
import type { ColumnMetaData } from "hyparquet"
import { ByteWriter, ParquetWriter } from "hyparquet-writer"
import { type Codec, compressors } from "./parquetCodecs.ts"
import { type Column, elementsOf, encode, type Fields } from "./parquetTypes.ts"

/** The pages of some rows of one column. */
export interface Run {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly metadata: ColumnMetaData
}

/** Encodes one column of at least one row. Plain pages only: a dictionary would have to come before all of them. */
export const encodeRun = (column: Column, rows: ReadonlyArray<Fields>, codec: Codec): Run => {
  const writer = new ByteWriter(1 << 12)
  const file = new ParquetWriter({
    writer,
    schema: [{ name: "schema", num_children: 1 }, ...elementsOf(column)],
    codec: codec.toUpperCase() as "SNAPPY",
    compressors,
    statistics: false
  })
  const data = rows.map((row) => encode(column, row[column.name]))
  void file.write({ columnData: [{ name: column.name, data, encoding: "PLAIN", offsetIndex: false }], rowGroupSize: rows.length })
  const metadata = file.row_groups[0]!.columns[0]!.meta_data!
  const start = Number(metadata.data_page_offset)
  return { metadata, bytes: new Uint8Array(writer.buffer.slice(start, start + Number(metadata.total_compressed_size))) }
}

/** The metadata of the chunk that two runs, one behind the other, make; it begins where the first one does. */
export const joinRuns = (first: ColumnMetaData | undefined, next: ColumnMetaData): ColumnMetaData => first === undefined ? next : {
  ...first,
  num_values: first.num_values + next.num_values,
  total_compressed_size: first.total_compressed_size + next.total_compressed_size,
  total_uncompressed_size: first.total_uncompressed_size + next.total_uncompressed_size
}

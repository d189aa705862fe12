/**
 * The end of a parquet file whose column chunks were put in place by hand.
 *
 * @since 0.1.0
 */
import type { ColumnMetaData, KeyValue, SchemaElement } from "hyparquet"
import { ByteWriter, ParquetWriter } from "hyparquet-writer"

/** Four bytes that begin and end every file. */
export const magic: Uint8Array = new TextEncoder().encode("PAR1")

/** One row group and what the file says of itself. */
export interface FooterOf {
  /** Root first, then every column with its children. */
  readonly schema: ReadonlyArray<SchemaElement>
  /** In the order of the schema's leaves; offsets count from the start of the file. */
  readonly chunks: ReadonlyArray<ColumnMetaData>
  readonly rows: number
  readonly keyValues: ReadonlyArray<KeyValue>
}

const total = (chunks: ReadonlyArray<ColumnMetaData>, size: (chunk: ColumnMetaData) => bigint): bigint =>
  chunks.reduce((sum, chunk) => sum + size(chunk), 0n)

/** The bytes behind the last column chunk. */
export const footer = ({ chunks, keyValues, rows, schema }: FooterOf): Uint8Array => {
  const writer = new ByteWriter()
  const file = new ParquetWriter({ writer, schema: [...schema], kvMetadata: [...keyValues], createdBy: "elf-streams" })
  file.num_rows = BigInt(rows)
  if (rows > 0) {
    file.row_groups.push({
      columns: chunks.map((meta_data) => ({ file_offset: 0n, meta_data })),
      num_rows: BigInt(rows),
      total_byte_size: total(chunks, (chunk) => chunk.total_uncompressed_size),
      total_compressed_size: total(chunks, (chunk) => chunk.total_compressed_size)
    })
  }
  void file.finish()
  return writer.getBytes().subarray(magic.length)
}

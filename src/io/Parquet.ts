/**
 * Parquet in and out, as streams.
 *
 * @since 0.1.0
 */
export {
  after,
  files,
  type NullPolicy,
  type PairRow,
  type Position,
  read,
  readPairs,
  type ReadPairOptions,
  readRows,
  readText,
  type ReadRowsOptions,
  type ReadTextOptions,
  type Row,
  type TextRow
} from "./ParquetRead.ts"
export { type Codec, type ColumnType, write, type WriteOptions, type WrittenFile } from "./ParquetWrite.ts"
export { type ColumnInfo, open, type ParquetFile, type RowGroup } from "./ParquetFile.ts"
export { ParquetError } from "./ParquetError.ts"

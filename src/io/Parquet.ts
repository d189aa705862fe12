/**
 * Parquet in and out, as streams: on disk, behind http(s), in S3-compatible stores.
 *
 * @since 0.1.0
 */
export {
  type IdsRow,
  type NullPolicy,
  type PairRow,
  read,
  readIdRows,
  readIds,
  type ReadIdsOptions,
  readPairs,
  type ReadPairOptions,
  readRows,
  type ReadRowsOptions,
  readText,
  type ReadTextOptions,
  type Row,
  type TextRow
} from "./ParquetRead.ts"
export { isDamage, type SourceOptions } from "./parquetRows.ts"
export { after, files, type Position } from "./parquetStart.ts"
export { write, type WriteOptions, type WrittenFile } from "./ParquetWrite.ts"
export { type Codec } from "./parquetCodecs.ts"
export { type ColumnType } from "./parquetTypes.ts"
export { type ChunkInfo, open, type ParquetFile, type RowGroup, versionOf } from "./ParquetFile.ts"
export { type ColumnInfo } from "./parquetColumns.ts"
export { type ColumnDigest, digestColumn } from "./parquetColumnDigest.ts"
export { ParquetError } from "./ParquetError.ts"
export { Timestamp } from "./parquet/convert.ts"
export { type Carried, digestColumns, type PartOptions, writePart, type WrittenPart } from "./ParquetPart.ts"
export { requireColumn, requireIds, requireText } from "./parquetColumns.ts"
export type { DecodedArray as Values } from "hyparquet"

/**
 * Compression of written parquet pages, on Node's own zlib.
 *
 * @since 0.1.0
 */
import * as zlib from "node:zlib"

/** How pages are compressed. `zstd` needs a Node that has it (22.15 or newer). */
export type Codec = "uncompressed" | "snappy" | "gzip" | "zstd"

type Compress = (input: Uint8Array) => Uint8Array
const zstd = (zlib as { zstdCompressSync?: Compress }).zstdCompressSync

/** Compressors beside hyparquet-writer's own snappy. */
export const compressors = { GZIP: (input: Uint8Array) => zlib.gzipSync(input), ...(zstd === undefined ? {} : { ZSTD: zstd }) }

/** Whether this Node can compress with a codec. */
export const hasCodec = (codec: Codec): boolean => codec !== "zstd" || zstd !== undefined

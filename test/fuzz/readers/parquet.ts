/** Parquet files of every writer and encoding. */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../../../src/io/index.ts"
import { digestBytes } from "../../io/parquetBytes.ts"
import { mutate } from "../bytes.ts"
import { type Draw, pick, type Reader } from "../Reader.ts"

const files = [
  "snappy", "gzip", "zstd", "brotli", "lz4", "page-v2", "delta", "dictionary", "large", "binary", "many-row-groups", "no-rows",
  "parquet-testing/data/nested_maps.snappy", "parquet-testing/data/delta_byte_array", "parquet-testing/data/int32_decimal",
  "parquet-testing/data/rle_boolean_encoding", "parquet-testing/data/nonnullable.impala", "written/pyarrow-kinds"
]
const originals = files.map((name) => new Uint8Array(readFileSync(join(import.meta.dirname, `../../io/fixtures/${name}.parquet`))))

/** The footer's Thrift alone is changed: the pages are then read as something else than they are. */
const mutateFooter = (bytes: Uint8Array, draw: Draw): Uint8Array => {
  const end = bytes.length - 8
  const begin = Math.max(4, end - new DataView(bytes.buffer, bytes.byteOffset).getUint32(end, true))
  const footer = mutate(bytes.subarray(begin, end), draw)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(footer.length)
  return Buffer.concat([bytes.subarray(0, begin), footer, length, Buffer.from("PAR1")])
}

export const parquet: Reader = {
  make: (draw) => {
    const original = pick(draw, originals)
    return draw(3) === 0 ? mutateFooter(original, draw) : mutate(original, draw, pick(draw, originals))
  },
  read: (from) => Effect.flatMap(digestBytes(from as Uint8Array), (found) => typeof found === "string" ? Effect.void : Effect.fail(found)),
  isTyped: (error) => error instanceof Parquet.ParquetError
}

/**
 * Decompression of pages: Node's own zlib for gzip, brotli and zstd, hyparquet's compressors for snappy and lz4.
 *
 * No codec may make more bytes than the page's header promises.
 *
 * @since 0.1.0
 */
import type { CompressionCodec } from "hyparquet"
import { compressors } from "hyparquet-compressors"
import * as zlib from "node:zlib"
import { Damage, require } from "./Damage.ts"

type Decompress = (input: Uint8Array<ArrayBuffer>, length: number) => Uint8Array

// Node takes 0 for "no limit".
const limit = (length: number) => ({ maxOutputLength: Math.max(1, length) })

const snappy: Decompress = (input, length) => {
  let claimed = 0
  for (let i = 0; i < 5; i++) {
    const part = input[i] ?? 0
    claimed += (part & 0x7f) * 2 ** (7 * i)
    if (part < 0x80) break
  }
  require(claimed === length, () => `the snappy block holds ${claimed} bytes where ${length} are promised`)
  return compressors.SNAPPY!(input, length)
}

const lz4 = (decode: "LZ4" | "LZ4_RAW"): Decompress => (input, length) => compressors[decode]!(input, length)

const codecs: Readonly<Partial<Record<CompressionCodec, Decompress>>> = {
  UNCOMPRESSED: (input) => input,
  SNAPPY: snappy,
  GZIP: (input, length) => zlib.gunzipSync(input, limit(length)),
  BROTLI: (input, length) => zlib.brotliDecompressSync(input, limit(length)),
  ZSTD: (input, length) => zlib.zstdDecompressSync(input, limit(length)),
  LZ4: lz4("LZ4"),
  LZ4_RAW: lz4("LZ4_RAW")
}

const reasonOf = (cause: unknown) => cause instanceof Error ? cause.message : String(cause)

/** The `length` bytes that a page was compressed from. */
export const decompress = (codec: CompressionCodec, input: Uint8Array<ArrayBuffer>, length: number): Uint8Array => {
  const decode = Object.hasOwn(codecs, codec) ? codecs[codec] : undefined
  if (decode === undefined) throw new Damage(`the codec ${codec} is unknown`, "unsupported")
  let output: Uint8Array
  try {
    output = length === 0 && input.length === 0 ? input : decode(input, length)
  } catch (cause) {
    throw cause instanceof Damage ? cause : new Damage(`the page cannot be decompressed (${codec}: ${reasonOf(cause)})`)
  }
  require(output.length === length, () => `the page has ${output.length} bytes where its header promises ${length}`)
  return output
}

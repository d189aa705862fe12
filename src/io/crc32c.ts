/**
 * CRC-32C (Castagnoli), as TensorFlow's record files use it.
 *
 * @since 0.1.0
 */

const polynomial = 0x82f63b78

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ polynomial : rest >>> 1
  return rest
})

/** The checksum of `bytes`, an unsigned 32-bit number. */
export const crc32c = (bytes: Uint8Array): number => {
  let rest = 0xffffffff
  for (const byte of bytes) rest = table[(rest ^ byte) & 0xff]! ^ (rest >>> 8)
  return (rest ^ 0xffffffff) >>> 0
}

/** The checksum as record files store it. @source TensorFlow `tensorflow/core/lib/hash/crc32c.h`, `Mask` */
export const maskedCrc32c = (bytes: Uint8Array): number => {
  const crc = crc32c(bytes)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

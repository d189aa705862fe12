/**
 * Numbers as other programs store them, as this library computes with them: 32-bit floats and 32-bit integers.
 *
 * @since 0.1.0
 */
import { fromBrainFloat, fromHalf } from "./halfFloat.ts"

/** Element types that checkpoints of other programs hold, by their names in the safetensors format. */
export type ElementType = "F64" | "F32" | "F16" | "BF16" | "I64" | "I32" | "I16" | "I8" | "U8" | "U32" | "BOOL"

/** Bytes an element takes. */
export const elementBytes: Readonly<Record<ElementType, number>> = {
  F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, U32: 4, BOOL: 1
}

const fromDoubles = (doubles: Float64Array): Float32Array => {
  const values = Float32Array.from(doubles)
  const lost = values.findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(doubles[i]))
  if (lost >= 0) throw new RangeError(`element ${lost} is ${doubles[lost]}, more than 32-bit floats hold`)
  return values
}

const fromLongs = (longs: BigInt64Array): Int32Array => {
  const values = new Int32Array(longs.length)
  for (let i = 0; i < values.length; i++) {
    values[i] = Number(longs[i])
    if (BigInt(values[i]!) !== longs[i]) throw new RangeError(`element ${i} is ${longs[i]}, more than 32 bits hold`)
  }
  return values
}

/**
 * Little-endian elements as 32-bit values, row-major as they stand. `bytes` must begin its buffer and is not copied
 * where nothing has to be converted. Throws a RangeError for a value that 32 bits do not hold and for a type that is no
 * number of a checkpoint.
 */
export const valuesOf = (type: ElementType, { buffer, byteLength }: Uint8Array<ArrayBuffer>): Float32Array | Int32Array => {
  switch (type) {
    case "F64":
      return fromDoubles(new Float64Array(buffer, 0, byteLength / 8))
    case "F32":
      return new Float32Array(buffer, 0, byteLength / 4)
    case "F16":
      return fromHalf(new Uint16Array(buffer, 0, byteLength / 2))
    case "BF16":
      return fromBrainFloat(new Uint16Array(buffer, 0, byteLength / 2))
    case "I64":
      return fromLongs(new BigInt64Array(buffer, 0, byteLength / 8))
    case "I32":
      return new Int32Array(buffer, 0, byteLength / 4)
    default:
      throw new RangeError(`elements of type ${type} are not read here`)
  }
}

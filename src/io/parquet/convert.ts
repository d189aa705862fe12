/**
 * From stored values to those that a reader gets: text, exact decimals, moments with their full precision.
 *
 * @since 0.1.0
 */
import type { DecodedArray, SchemaElement } from "hyparquet"
import { parseFloat16 } from "hyparquet/src/convert.js"
import { isUtf8 } from "node:buffer"
import { Damage } from "./Damage.ts"

/** A moment as the file has it: a `Date`, which ends at milliseconds, with the nanoseconds since 1970 beside it. */
export class Timestamp extends Date {
  readonly nanoseconds: bigint
  constructor(nanoseconds: bigint) {
    super(Number(nanoseconds / 1_000_000n))
    this.nanoseconds = nanoseconds
  }
}

const textTypes = new Set(["UTF8", "ENUM", "JSON", "STRING"])

/** Whether the values of a leaf are text; JSON stays text. */
export const isText = ({ converted_type, logical_type, type }: SchemaElement): boolean =>
  type === "BYTE_ARRAY" && (textTypes.has(converted_type ?? "") || textTypes.has(logical_type?.type ?? ""))

/** The text of bytes `begin ≤ i < end`; bytes that are no UTF-8 are an error, a byte order mark stays. */
export const textOf = (bytes: Buffer, begin: number, end: number): string => {
  const text = bytes.toString("utf8", begin, end)
  // A text without U+FFFD had nothing replaced; only one with it has to be looked at again.
  if (text.includes("\ufffd") && !isUtf8(bytes.subarray(begin, end))) throw new Damage("a text is not UTF-8")
  return text
}

const wholeNumber = (bytes: Uint8Array): bigint => {
  if (bytes.length === 0) return 0n
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")}`))
}

const decimalOf = (unscaled: bigint, scale: number): string => {
  if (scale <= 0) return String(unscaled * 10n ** BigInt(-scale))
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, "0")
  return `${unscaled < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

const decimal = (scale: number) => (value: number | bigint | Uint8Array): string =>
  decimalOf(value instanceof Uint8Array ? wholeNumber(value) : BigInt(value), scale)

/** Days (Julian) and nanoseconds of the day, as Hive, Impala and older Spark store moments. */
const int96 = (value: bigint): Timestamp =>
  new Timestamp(((value >> 64n) - 2_440_588n) * 86_400_000_000_000n + BigInt.asIntN(64, value))

const moment = (nanoseconds: bigint) => (value: number | bigint): Timestamp => new Timestamp(BigInt(value) * nanoseconds)

const uuid = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")

const text = (bytes: Uint8Array): string => textOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length)

const nanosecondsOf = { MILLIS: 1_000_000n, MICROS: 1000n, NANOS: 1n }

// oxlint-disable-next-line typescript/no-explicit-any -- the values of a leaf are of one type that its schema names
type ConvertOne = (value: any) => unknown

const logicalConversion = ({ logical_type: logical, precision, scale, type }: SchemaElement): ConvertOne | undefined => {
  if (logical?.type === "TIMESTAMP") return moment(nanosecondsOf[logical.unit])
  if (logical?.type === "DATE") return (days: number) => new Date(days * 86_400_000)
  if (logical?.type === "UUID") return uuid
  if (logical?.type === "FLOAT16") return parseFloat16
  if (logical?.type === "DECIMAL" && precision !== undefined) return decimal(scale ?? logical.scale ?? 0)
  return type === "INT96" ? int96 : undefined
}

const conversion = (element: SchemaElement): ConvertOne | undefined => {
  if (isText(element)) return text
  if (element.converted_type === "DECIMAL") return decimal(element.scale ?? 0)
  if (element.converted_type === "DATE") return (days: number) => new Date(days * 86_400_000)
  if (element.converted_type === "TIMESTAMP_MILLIS") return moment(1_000_000n)
  if (element.converted_type === "TIMESTAMP_MICROS") return moment(1000n)
  return logicalConversion(element)
}

const isUnsigned = (bits: number, { converted_type, logical_type }: SchemaElement): boolean =>
  converted_type === `UINT_${bits}` || (logical_type?.type === "INTEGER" && logical_type.bitWidth === bits && !logical_type.isSigned)

/**
 * The values of a leaf as readers get them: text as strings, decimals as exact strings, dates as `Date`, moments as
 * {@link Timestamp}; numbers, booleans, bytes, times of day and intervals as they are stored.
 */
export const convert = (values: DecodedArray, element: SchemaElement): DecodedArray => {
  const one = conversion(element)
  if (one !== undefined) return Array.from<unknown, unknown>(values, one)
  if (values instanceof BigInt64Array && isUnsigned(64, element)) return new BigUint64Array(values.buffer, values.byteOffset, values.length)
  if (values instanceof Int32Array && isUnsigned(32, element)) return new Uint32Array(values.buffer, values.byteOffset, values.length)
  return values
}

/**
 * The header of a safetensors file: parsed and checked before a single byte of data is read.
 *
 * A file is `u64 length | JSON header | data`. The header must fit the file, name no tensor twice, and its offsets must
 * cover the data without gap or overlap, each range as long as dtype and shape say; so no tensor can make the reader
 * allocate more than the file holds.
 *
 * @source https://github.com/huggingface/safetensors (format and validation rules)
 * @since 0.1.0
 */
import { duplicateKey } from "./duplicateKeys.ts"
import { SafetensorsError } from "./SafetensorsError.ts"

/** Bytes an element of each dtype takes in the format. */
export const elementSizes: Readonly<Record<string, number>> = {
  F64: 8, I64: 8, U64: 8, F32: 4, I32: 4, U32: 4, F16: 2, BF16: 2, I16: 2, U16: 2,
  F8_E4M3: 1, F8_E5M2: 1, I8: 1, U8: 1, BOOL: 1
}

/** Name, type and place of one tensor; `begin ≤ byte < end` counts from the start of the file. */
export interface TensorInfo {
  readonly name: string
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly elements: number
  readonly begin: number
  readonly end: number
}

/** A checked header. */
export interface Header {
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly metadata: Readonly<Record<string, string>>
}

/** The longest header that is accepted, in bytes: the limit of the reference implementation. */
const longestHeader = 100_000_000

const remedy = "fetch or write the file again"

/** Makes errors about one file. */
export const failing = (file: string) => (
  reason: SafetensorsError["reason"],
  detail: string,
  tensor?: string
): SafetensorsError => new SafetensorsError({ file, reason, detail, remedy, ...(tensor === undefined ? {} : { tensor }) })

type Fail = ReturnType<typeof failing>

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0)

/** Elements of a shape; undefined where the product is no safe integer. */
export const elementsOf = (shape: ReadonlyArray<number>): number | undefined => {
  const product = shape.includes(0) ? 0 : shape.reduce((a, b) => a * b, 1)
  return Number.isSafeInteger(product) ? product : undefined
}

const parseJson = (bytes: Uint8Array, fail: Fail): Record<string, unknown> => {
  let text: string
  let value: unknown
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch (cause) {
    throw fail("badHeader", `the header is no JSON (${cause instanceof Error ? cause.message : String(cause)})`)
  }
  if (!text.startsWith("{") || !isRecord(value)) throw fail("badHeader", "the header is no JSON object")
  const twice = duplicateKey(text)
  if (twice !== undefined) throw fail("badHeader", `the header holds the key "${twice}" twice`)
  return value
}

const parseMetadata = (value: unknown, fail: Fail): Record<string, string> => {
  if (value === undefined) return {}
  if (isRecord(value) && Object.values(value).every((v) => typeof v === "string")) return value as Record<string, string>
  throw fail("badHeader", "__metadata__ holds something else than text")
}

const parseTensor = (name: string, value: unknown, dataStart: number, fail: Fail): TensorInfo => {
  const { dtype, shape, data_offsets: offsets, ...rest } = isRecord(value) ? value : {}
  if (typeof dtype !== "string" || !Array.isArray(shape) || !Array.isArray(offsets) || Object.keys(rest).length > 0) {
    throw fail("badHeader", "the entry does not consist of dtype, shape and data_offsets", name)
  }
  const size = Object.hasOwn(elementSizes, dtype) ? elementSizes[dtype] : undefined
  if (size === undefined) throw fail("unsupportedType", `the dtype "${dtype.slice(0, 32)}" is unknown`, name)
  const elements = shape.every(isSize) ? elementsOf(shape) : undefined
  if (elements === undefined) throw fail("badShape", `the shape [${String(shape).slice(0, 100)}] is not one of sizes`, name)
  const [begin, end] = offsets as [unknown, unknown]
  if (offsets.length !== 2 || !isSize(begin) || !isSize(end) || end < begin) {
    throw fail("badOffsets", `the offsets [${String(offsets).slice(0, 100)}] are no range`, name)
  }
  if (end - begin !== elements * size) {
    throw fail("badOffsets", `${end - begin} bytes are given to ${elements} elements of ${dtype}`, name)
  }
  return { name, dtype, shape, elements, begin: dataStart + begin, end: dataStart + end }
}

const checkCover = (tensors: ReadonlyArray<TensorInfo>, dataStart: number, fileSize: number, fail: Fail): void => {
  let next = dataStart
  for (const { name, begin, end } of [...tensors].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < next) throw fail("badOffsets", "the tensor overlaps another", name)
    if (begin > next) throw fail("badOffsets", "there is a gap before the tensor", name)
    next = end
  }
  if (next !== fileSize) throw fail("badOffsets", `the tensors end at byte ${next} of a file of ${fileSize}`)
}

/** Parses the JSON header (without its length); throws a {@link SafetensorsError}. */
export const parseHeader = (bytes: Uint8Array, fileSize: number, file: string): Header => {
  const fail = failing(file)
  const { __metadata__, ...entries } = parseJson(bytes, fail)
  const dataStart = 8 + bytes.length
  const tensors = Object.entries(entries).map(([name, value]) => parseTensor(name, value, dataStart, fail))
  checkCover(tensors, dataStart, fileSize, fail)
  return { tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), metadata: parseMetadata(__metadata__, fail) }
}

/** The length of the header from the first 8 bytes of a file of `fileSize` bytes; throws a {@link SafetensorsError}. */
export const headerLength = (first: Uint8Array, fileSize: number, file: string): number => {
  const fail = failing(file)
  if (fileSize < 8) throw fail("tooShort", `the file has only ${fileSize} bytes`)
  const length = new DataView(first.buffer, first.byteOffset, first.byteLength).getBigUint64(0, true)
  const claim = `the header claims ${length} bytes`
  if (length > BigInt(fileSize - 8)) throw fail("headerTooLong", `${claim} of a file of ${fileSize}`)
  if (length > BigInt(longestHeader)) throw fail("headerTooLong", `${claim}; at most ${longestHeader} are accepted`)
  return Number(length)
}

/**
 * Reading safetensors files, tensor by tensor.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { endianness } from "node:os"
import { attempt, type DiskFile } from "./Disk.ts"
import { valuesOf } from "./elementValues.ts"
import { nearest } from "./nearest.ts"
import { endOfFile, readRange as readBytes } from "./readRange.ts"
import { failing, headerLength, parseHeader, type TensorInfo } from "./safetensorsHeader.ts"
import { fromDiskError, SafetensorsError } from "./SafetensorsError.ts"

/** The values of one tensor, row-major: floats for F32, F16, BF16; whole numbers for I32, I64; bytes for U8, BOOL. */
export interface Tensor {
  readonly name: string
  /** The type in the file, such as `F16`; `data` is already converted. */
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array | Int32Array | Uint8Array
}

/** An open file; it stays open until the surrounding scope closes. */
export interface SafetensorsFile {
  readonly path: string
  readonly bytes: number
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** Reads and converts one tensor; nothing of the others is touched. */
  readonly read: (name: string) => Effect.Effect<Tensor, SafetensorsError>
}

const readRange = (file: DiskFile, path: string, begin: number, end: number): Effect.Effect<Uint8Array<ArrayBuffer>, SafetensorsError> =>
  Effect.mapError(readBytes(file, path, begin, end), (error) =>
    error.code === endOfFile ? failing(path)("tooShort", "the file ended while being read") : fromDiskError(path)(error))

const checkBooleans = (bytes: Uint8Array, fail: (detail: string) => SafetensorsError): Uint8Array => {
  const wrong = bytes.findIndex((byte) => byte > 1)
  if (wrong >= 0) throw fail(`element ${wrong} is ${bytes[wrong]}, neither 0 nor 1`)
  return bytes
}

const numeric = ["F32", "F16", "BF16", "I32", "I64"] as const

const isNumeric = (dtype: string): dtype is typeof numeric[number] => numeric.some((known) => known === dtype)

const convertNumbers = (dtype: typeof numeric[number], bytes: Uint8Array<ArrayBuffer>, fail: (detail: string) => SafetensorsError) => {
  try {
    return valuesOf(dtype, bytes)
  } catch (cause) {
    throw cause instanceof RangeError ? fail(cause.message) : cause
  }
}

const convert = ({ dtype, name }: TensorInfo, bytes: Uint8Array<ArrayBuffer>, path: string): Tensor["data"] => {
  const fail = (detail: string) => failing(path)("badValue", detail, name)
  if (isNumeric(dtype)) return convertNumbers(dtype, bytes, fail)
  if (dtype === "U8") return bytes
  if (dtype === "BOOL") return checkBooleans(bytes, fail)
  throw new SafetensorsError({
    file: path,
    tensor: name,
    reason: "unsupportedType",
    detail: `the dtype ${dtype} is not read here`,
    remedy: "convert the tensor to F32, F16, BF16, I32, I64, U8 or BOOL"
  })
}

const attemptSync = <A>(path: string, run: () => A): Effect.Effect<A, SafetensorsError> =>
  Effect.try({
    try: run,
    catch: (cause) => cause instanceof SafetensorsError ? cause : failing(path)("badHeader", String(cause))
  })

const missing = (path: string, name: string, tensors: ReadonlyMap<string, TensorInfo>) => {
  const close = nearest(name, tensors.keys())
  return new SafetensorsError({
    file: path,
    tensor: name,
    reason: "missingTensor",
    detail: `there is no such tensor among the ${tensors.size} of the file`,
    remedy: close === undefined ? "check the name" : `did you mean "${close}"?`
  })
}

const readHeader = (file: DiskFile, path: string) =>
  Effect.gen(function*() {
    const first = yield* readRange(file, path, 0, Math.min(8, file.size))
    const length = yield* attemptSync(path, () => headerLength(first, file.size, path))
    const header = yield* readRange(file, path, 8, 8 + length)
    return yield* attemptSync(path, () => parseHeader(header, file.size, path))
  })

const checkHost = (path: string) =>
  endianness() === "LE" ? Effect.void : Effect.fail(new SafetensorsError({
    file: path,
    reason: "unsupportedType",
    detail: "this processor stores numbers in big-endian order, the format in little-endian order",
    remedy: "use a little-endian machine"
  }))

/** Opens a file and checks its whole header; the data is read tensor by tensor. */
export const open = (path: string): Effect.Effect<SafetensorsFile, SafetensorsError, Scope.Scope> =>
  Effect.gen(function*() {
    yield* checkHost(path)
    const file = yield* Effect.acquireRelease(
      Effect.mapError(attempt("open", path, (disk) => disk.openToRead(path)), fromDiskError(path)),
      (file) => Effect.promise(() => file.close().catch(() => undefined))
    )
    const { metadata, tensors } = yield* readHeader(file, path)
    const read = (name: string) =>
      Effect.gen(function*() {
        const info = tensors.get(name)
        if (info === undefined) return yield* missing(path, name, tensors)
        const bytes = yield* readRange(file, path, info.begin, info.end)
        const data = yield* attemptSync(path, () => convert(info, bytes, path))
        return { name, dtype: info.dtype, shape: info.shape, data }
      })
    return { path, bytes: file.size, metadata, tensors, read }
  })

/** Reads every tensor of a file, in the order of the header. */
export const readAll = (path: string): Effect.Effect<ReadonlyMap<string, Tensor>, SafetensorsError> =>
  Effect.scoped(Effect.flatMap(open(path), (file) =>
    Effect.map(
      Effect.forEach(file.tensors.keys(), file.read),
      (tensors) => new Map(tensors.map((tensor) => [tensor.name, tensor]))
    )))

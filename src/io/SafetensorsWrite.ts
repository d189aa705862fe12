/**
 * Writing safetensors files, tensor by tensor, whole or not at all.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { type AtomicFile, writeAtomically } from "./atomicFile.ts"
import { toHalf } from "./halfFloat.ts"
import { elementSizes, elementsOf } from "./safetensorsHeader.ts"
import { fromDiskError, SafetensorsError } from "./SafetensorsError.ts"

/** A tensor to write, row-major; `dtype` is F32, I32 or U8 by the kind of array unless `F16` is asked for. */
export interface TensorToWrite {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array | Int32Array | Uint8Array
  readonly dtype?: "F32" | "F16" | "I32" | "U8"
}

export interface WriteOptions {
  /** Text pairs for the header. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** What was written; `sha256` is over the whole file, in hexadecimal. */
export interface WrittenTensors {
  readonly bytes: number
  readonly sha256: string
}

interface Planned extends TensorToWrite {
  readonly dtype: "F32" | "F16" | "I32" | "U8"
  readonly bytes: number
}

const elementsPerChunk = 1 << 20

const natural = (data: TensorToWrite["data"]) =>
  data instanceof Float32Array ? "F32" as const : data instanceof Int32Array ? "I32" as const : "U8" as const

const refuse = (file: string, tensor: string, reason: SafetensorsError["reason"], detail: string, remedy: string) =>
  new SafetensorsError({ file, tensor, reason, detail, remedy })

const plan = (file: string, tensor: TensorToWrite): Planned => {
  const { name, data, shape } = tensor
  const own = natural(data)
  const dtype = tensor.dtype ?? own
  if (dtype !== own && !(dtype === "F16" && own === "F32")) {
    const detail = `values of type ${own} cannot be written as ${dtype}`
    throw refuse(file, name, "unsupportedType", detail, "convert them first")
  }
  const elements = shape.every((n) => Number.isSafeInteger(n) && n >= 0) ? elementsOf(shape) : undefined
  if (elements !== data.length) {
    const detail = `${data.length} values do not make the shape [${shape}]`
    throw refuse(file, name, "badShape", detail, "give the shape of the values")
  }
  return { ...tensor, dtype, bytes: data.length * elementSizes[dtype]! }
}

const planAll = (file: string, tensors: Iterable<TensorToWrite>): ReadonlyArray<Planned> => {
  const seen = new Set<string>()
  const planned = Array.from(tensors, (tensor) => {
    if (seen.has(tensor.name) || tensor.name === "__metadata__") {
      throw refuse(file, tensor.name, "badHeader", "the name is taken", "give each tensor its own name")
    }
    seen.add(tensor.name)
    return plan(file, tensor)
  })
  // Wide elements first keeps every tensor aligned to its element size.
  return planned.sort((a, b) => elementSizes[b.dtype]! - elementSizes[a.dtype]!)
}

const headerOf = (planned: ReadonlyArray<Planned>, metadata: WriteOptions["metadata"]): Uint8Array => {
  let offset = 0
  const entries = planned.map(({ name, dtype, shape, bytes }) => {
    const data_offsets = [offset, offset += bytes]
    return [name, { dtype, shape, data_offsets }] as const
  })
  const pairs = Object.keys(metadata ?? {}).length > 0 ? [["__metadata__", metadata] as const] : []
  // Not JSON.stringify of an object: that would lose a tensor named __proto__ and reorder numeric names.
  const members = [...pairs, ...entries].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)
  const json = Buffer.from(`{${members.join(",")}}`)
  const padded = Math.ceil(json.length / 8) * 8
  const header = Buffer.alloc(8 + padded, " ")
  header.writeBigUInt64LE(BigInt(padded))
  json.copy(header, 8)
  return header
}

const bytesOf = (array: Float32Array | Int32Array | Uint8Array | Uint16Array) =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

const checkedHalf = (file: string, name: string, values: Float32Array, first: number): Uint16Array => {
  const halves = toHalf(values)
  for (let i = 0; i < halves.length; i++) {
    if ((halves[i]! & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) {
      const detail = `element ${first + i} is ${values[i]}, more than F16 holds`
      throw refuse(file, name, "badValue", detail, "write the tensor as F32")
    }
  }
  return halves
}

/** The bytes of a tensor in the file, a few megabytes at a time. */
const payload = function*(file: string, tensor: Planned): Generator<Uint8Array> {
  for (let first = 0; first < tensor.data.length; first += elementsPerChunk) {
    const part = tensor.data.subarray(first, first + elementsPerChunk)
    yield bytesOf(tensor.dtype === "F16" ? checkedHalf(file, tensor.name, part as Float32Array, first) : part)
  }
}

const attemptSync = <A>(path: string, run: () => A): Effect.Effect<A, SafetensorsError> =>
  Effect.try({
    try: run,
    catch: (cause) =>
      cause instanceof SafetensorsError ? cause : refuse(path, "", "badValue", String(cause), "check the tensors")
  })

/** Writes header and data into an open file; `path` is for error messages. */
export const writeTo = (
  file: AtomicFile,
  path: string,
  tensors: Iterable<TensorToWrite>,
  options: WriteOptions = {}
): Effect.Effect<WrittenTensors, SafetensorsError> =>
  Effect.gen(function*() {
    const hash = createHash("sha256")
    const append = (bytes: Uint8Array) => {
      hash.update(bytes)
      return Effect.mapError(file.append(bytes), fromDiskError(path))
    }
    const planned = yield* attemptSync(path, () => planAll(path, tensors))
    yield* append(yield* attemptSync(path, () => headerOf(planned, options.metadata)))
    for (const tensor of planned) {
      const parts = payload(path, tensor)
      for (;;) {
        const part = yield* attemptSync(path, () => parts.next())
        if (part.done) break
        yield* append(part.value)
      }
    }
    return { bytes: file.written(), sha256: hash.digest("hex") }
  })

/** Writes a file of tensors; it appears under `path` only when it is whole and on the disk. */
export const write = (
  path: string,
  tensors: Iterable<TensorToWrite>,
  options: WriteOptions = {}
): Effect.Effect<WrittenTensors, SafetensorsError> =>
  writeAtomically(path, fromDiskError(path), (file) => writeTo(file, path, tensors, options))

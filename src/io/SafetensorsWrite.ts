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

/** A tensor whose values are fetched only when it is their turn to be written: one at a time is in memory. */
export interface DeferredTensor<out E = never> {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly read: Effect.Effect<Float32Array, E>
}

/** What a file is made of. */
export type Writable<E = never> = TensorToWrite | DeferredTensor<E>

export interface WriteOptions {
  /** Text pairs for the header. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** What was written; `sha256` is over the whole file, in hexadecimal. */
export interface WrittenTensors {
  readonly bytes: number
  readonly sha256: string
}

interface Planned<E> {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly dtype: "F32" | "F16" | "I32" | "U8"
  readonly elements: number
  readonly bytes: number
  readonly read: Effect.Effect<TensorToWrite["data"], E>
}

const elementsPerChunk = 1 << 20

const natural = (data: TensorToWrite["data"]) =>
  data instanceof Float32Array ? "F32" as const : data instanceof Int32Array ? "I32" as const : "U8" as const

const refuse = (file: string, tensor: string, reason: SafetensorsError["reason"], detail: string, remedy: string) =>
  new SafetensorsError({ file, tensor, reason, detail, remedy })

const isDeferred = <E>(tensor: Writable<E>): tensor is DeferredTensor<E> => "read" in tensor

const dtypeOf = (file: string, { data, dtype, name }: TensorToWrite): Planned<never>["dtype"] => {
  const own = natural(data)
  if (dtype === undefined || dtype === own || (dtype === "F16" && own === "F32")) return dtype ?? own
  throw refuse(file, name, "unsupportedType", `values of type ${own} cannot be written as ${dtype}`, "convert them first")
}

const misshapen = (file: string, name: string, length: number, shape: ReadonlyArray<number>) =>
  refuse(file, name, "badShape", `${length} values do not make the shape [${shape}]`, "give the shape of the values")

const plan = <E>(file: string, tensor: Writable<E>): Planned<E> => {
  const { name, shape } = tensor
  const elements = shape.every((n) => Number.isSafeInteger(n) && n >= 0) ? elementsOf(shape) : undefined
  const dtype = isDeferred(tensor) ? "F32" : dtypeOf(file, tensor)
  if (elements === undefined) throw refuse(file, name, "badShape", `[${shape}] is no shape`, "give whole numbers, 0 or more")
  if (!isDeferred(tensor) && elements !== tensor.data.length) throw misshapen(file, name, tensor.data.length, shape)
  const read = isDeferred(tensor) ? tensor.read : Effect.succeed(tensor.data)
  return { name, shape, dtype, elements, bytes: elements * elementSizes[dtype]!, read }
}

const planAll = <E>(file: string, tensors: Iterable<Writable<E>>): ReadonlyArray<Planned<E>> => {
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

const headerOf = (planned: ReadonlyArray<Planned<unknown>>, metadata: WriteOptions["metadata"]): Uint8Array => {
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
const payload = function*(file: string, { dtype, name }: Planned<unknown>, data: TensorToWrite["data"]): Generator<Uint8Array> {
  for (let first = 0; first < data.length; first += elementsPerChunk) {
    const part = data.subarray(first, first + elementsPerChunk)
    yield bytesOf(dtype === "F16" ? checkedHalf(file, name, part as Float32Array, first) : part)
  }
}

const attemptSync = <A>(path: string, run: () => A): Effect.Effect<A, SafetensorsError> =>
  Effect.try({
    try: run,
    catch: (cause) =>
      cause instanceof SafetensorsError ? cause : refuse(path, "", "badValue", String(cause), "check the tensors")
  })

/** Writes header and data into an open file; `path` is for error messages. */
export const writeTo = <E = never>(
  file: AtomicFile,
  path: string,
  tensors: Iterable<Writable<E>>,
  options: WriteOptions = {}
): Effect.Effect<WrittenTensors, SafetensorsError | E> =>
  Effect.gen(function*() {
    const hash = createHash("sha256")
    const append = (bytes: Uint8Array) => {
      hash.update(bytes)
      return Effect.mapError(file.append(bytes), fromDiskError(path))
    }
    const planned = yield* attemptSync(path, () => planAll(path, tensors))
    yield* append(yield* attemptSync(path, () => headerOf(planned, options.metadata)))
    for (const tensor of planned) {
      const data = yield* tensor.read
      if (data.length !== tensor.elements) return yield* misshapen(path, tensor.name, data.length, tensor.shape)
      const parts = payload(path, tensor, data)
      for (;;) {
        const part = yield* attemptSync(path, () => parts.next())
        if (part.done) break
        yield* append(part.value)
      }
    }
    return { bytes: file.written(), sha256: hash.digest("hex") }
  })

/** Writes a file of tensors; it appears under `path` only when it is whole and on the disk. */
export const write = <E = never>(
  path: string,
  tensors: Iterable<Writable<E>>,
  options: WriteOptions = {}
): Effect.Effect<WrittenTensors, SafetensorsError | E> =>
  writeAtomically(path, fromDiskError(path), (file) => writeTo(file, path, tensors, options))

/**
 * Files of `torch.save`: the pickle as plain values at once, the numbers of a tensor only when asked for.
 *
 * @source `torch/serialization.py`, `_save`, `_load` (records `data.pkl`, `byteorder`, `data/KEY`)
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { endianness } from "node:os"
import { elementBytes, valuesOf } from "../elementValues.ts"
import { openFile } from "../readRange.ts"
import { elementsOf } from "./allowedGlobals.ts"
import { isContiguous, materialize } from "./materialize.ts"
import type { PickleValue, TorchStorage, TorchTensor } from "./pickleValues.ts"
import { type Fail, failing, fromDiskError, type TorchFileError } from "./TorchFileError.ts"
import { unpickle } from "./unpickle.ts"
import { attemptSync, type LocatedRecord, openZip, type ZipFile } from "./ZipFile.ts"

/** Values of one tensor, row-major. */
export interface TorchValues {
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array | Int32Array
}

/** An open file; it stays open until the surrounding scope closes. */
export interface TorchFile {
  readonly path: string
  readonly bytes: number
  /** What was saved. It may hold itself: do not walk it blindly. */
  readonly value: PickleValue
  /** Reads one tensor; floats become 32-bit floats, whole numbers 32-bit integers. `name` is for error messages. */
  readonly read: (tensor: TorchTensor, name: string) => Effect.Effect<TorchValues, TorchFileError>
}

const largestPickle = 64 * 1024 * 1024

const rootOf = (records: ZipFile["records"], fail: Fail): string => {
  const pickles = [...records.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name))
  if (pickles.length === 1) return pickles[0]!.slice(0, -"data.pkl".length)
  throw fail("badArchive", `it has ${pickles.length} records data.pkl, a file of torch.save has one`)
}

const checkOrder = (zip: ZipFile, root: string, fail: Fail) =>
  Effect.gen(function*() {
    if (endianness() !== "LE") return yield* fail("unsupported", "this processor stores numbers in big-endian order, the file in little-endian order")
    const record = zip.records.get(`${root}byteorder`)
    if (record === undefined) return
    if (record.size > 16) return yield* fail("badArchive", "the byte order is no word", { record: "byteorder" })
    const order = Buffer.from(yield* zip.read(record)).toString("latin1")
    if (order !== "little") return yield* fail("unsupported", `its numbers are in ${JSON.stringify(order)} byte order`)
  })

const readPickle = (zip: ZipFile, root: string, fail: Fail) =>
  Effect.gen(function*() {
    const record = zip.records.get(`${root}data.pkl`)!
    if (record.size > largestPickle) return yield* fail("limit", `its pickle has ${record.size} bytes; at most ${largestPickle} are accepted`)
    const bytes = yield* zip.read(record)
    return yield* attemptSync(fail, () => unpickle(bytes, (reason, detail, more) => fail(reason, detail, { record: "data.pkl", ...more })))
  })

const storageRecord = (zip: ZipFile, root: string, { elements, key, type }: TorchStorage, fail: Fail): LocatedRecord => {
  const record = zip.records.get(`${root}data/${key}`)
  if (record === undefined) throw fail("badTensor", `the archive has no storage ${JSON.stringify(key.slice(0, 64))}`)
  if (record.deflated) throw fail("unsupported", `its storage ${key} is compressed, which PyTorch never does`)
  if (record.size === elements * elementBytes[type]) return record
  throw fail("badTensor", `its storage ${key} has ${record.size} bytes, not ${elements} elements of ${type}`)
}

/** Opens a file and builds what its pickle says; refuses everything that is not plain data. */
export const open = (path: string): Effect.Effect<TorchFile, TorchFileError, Scope.Scope> =>
  Effect.gen(function*() {
    const fail = failing(path)
    const file = yield* Effect.mapError(openFile(path), fromDiskError(path))
    const zip = yield* openZip(file, path, fail)
    const root = yield* attemptSync(fail, () => rootOf(zip.records, fail))
    yield* checkOrder(zip, root, fail)
    const value = yield* readPickle(zip, root, fail)
    // Views of one storage follow each other in a state_dict: the last one read is kept for the next.
    let last: { readonly record: LocatedRecord; readonly bytes: Uint8Array<ArrayBuffer> } | undefined
    const bytesOf = (record: LocatedRecord) =>
      last?.record === record ? Effect.succeed(last.bytes) : Effect.tap(zip.read(record), (bytes) => Effect.sync(() => { last = { record, bytes } }))
    const read = (tensor: TorchTensor, name: string) =>
      Effect.gen(function*() {
        const wrong: Fail = (reason, detail, more) => fail(reason, detail, { tensor: name, ...more })
        const record = yield* attemptSync(wrong, () => storageRecord(zip, root, tensor.storage, wrong))
        const bytes = yield* bytesOf(record)
        return yield* Effect.try({
          try: () => valuesOfTensor(tensor, bytes),
          catch: (cause) => wrong("badTensor", cause instanceof Error ? cause.message : String(cause))
        })
      })
    return { path, bytes: file.size, value, read }
  })

const valuesOfTensor = (tensor: TorchTensor, bytes: Uint8Array<ArrayBuffer>): TorchValues => {
  const values = valuesOf(tensor.storage.type, bytes)
  const { offset, shape, strides } = tensor
  const elements = elementsOf(shape)
  const whole = offset === 0 && elements === values.length && isContiguous(shape, strides)
  return { shape, data: whole ? values : materialize(values, tensor) }
}

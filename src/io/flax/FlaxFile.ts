/**
 * Files of `flax.serialization.to_bytes`: the tree at once, the numbers of an array only when asked for.
 *
 * @source `flax/serialization.py`, `_ndarray_to_bytes`, `_msgpack_ext_pack`, `_chunk`
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import type { DiskFile } from "../Disk.ts"
import { DiskError } from "../Disk.ts"
import { elementBytes, type ElementType, valuesOf } from "../elementValues.ts"
import { openFile, readRange } from "../readRange.ts"
import { type Fail, failing, FlaxFileError, fromDiskError } from "./FlaxFileError.ts"
import { LocatedBytes, type MessageMap, type MessageValue, readMessage } from "./messagePack.ts"

/** An array whose numbers are still in the file, row-major, in one piece or several. */
export class FlaxArray {
  readonly shape: ReadonlyArray<number>
  readonly type: ElementType
  readonly pieces: ReadonlyArray<LocatedBytes>
  constructor(shape: ReadonlyArray<number>, type: ElementType, pieces: ReadonlyArray<LocatedBytes>) {
    this.shape = shape
    this.type = type
    this.pieces = pieces
  }
}

/** A tree of named values; arrays are {@link FlaxArray}. */
export interface FlaxTree extends Map<string, FlaxValue> {}
export type FlaxValue = Exclude<MessageValue, MessageMap | Array<MessageValue>> | Array<FlaxValue> | FlaxTree | FlaxArray

/** An open file; it stays open until the surrounding scope closes. */
export interface FlaxFile {
  readonly path: string
  readonly bytes: number
  readonly tree: FlaxValue
  /** Reads one array; floats become 32-bit floats, whole numbers 32-bit integers. `name` is for error messages. */
  readonly read: (array: FlaxArray, name: string) => Effect.Effect<Float32Array | Int32Array, FlaxFileError>
}

const types: ReadonlyMap<string, ElementType> = new Map([
  ["float64", "F64"], ["float32", "F32"], ["float16", "F16"], ["bfloat16", "BF16"], ["int64", "I64"], ["int32", "I32"],
  ["int16", "I16"], ["int8", "I8"], ["uint32", "U32"], ["uint8", "U8"], ["bool", "BOOL"]
])

/** Type numbers of MessagePack extensions: an array, and a number of NumPy, which is an array without axes. */
const arrayExtensions: ReadonlyArray<number | undefined> = [1, 3]
const chunkedMark = "__msgpack_chunked_array__"

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const elementsOf = (shape: ReadonlyArray<number>): number => shape.includes(0) ? 0 : shape.reduce((a, b) => a * b, 1)
const lengthOf = ({ begin, end }: LocatedBytes): number => end - begin

const checked = (shape: ReadonlyArray<number>, type: ElementType, pieces: ReadonlyArray<LocatedBytes>, position: number, fail: Fail): FlaxArray => {
  const bytes = pieces.reduce((sum, piece) => sum + lengthOf(piece), 0)
  if (elementsOf(shape) * elementBytes[type] === bytes) return new FlaxArray(shape, type, pieces)
  throw fail("badArray", `${bytes} bytes are given to an array of shape [${shape.join(", ")}] of ${type}`, { position })
}

const sizes = (values: ReadonlyArray<unknown>): ReadonlyArray<number> | undefined => values.length <= 16 && values.every(isCount) ? values : undefined

/** Shape, element type and bytes of an array are a message of their own inside the extension. */
const arrayOf = async (file: DiskFile, place: LocatedBytes, fail: Fail): Promise<FlaxArray> => {
  const parts = await readMessage(file, place.begin, place.end, fail)
  const [shape, name, data] = Array.isArray(parts) && parts.length === 3 ? parts : []
  const type = typeof name === "string" ? types.get(name) : undefined
  const known = Array.isArray(shape) ? sizes(shape) : undefined
  if (typeof name === "string" && type === undefined) throw fail("unsupported", `its elements are of type ${JSON.stringify(name.slice(0, 32))}`, { position: place.begin })
  if (known === undefined || type === undefined || !(data instanceof LocatedBytes)) {
    throw fail("badArray", "an array is not made of a shape, an element type and bytes", { position: place.begin })
  }
  return checked(known, type, [data], place.begin, fail)
}

/** `{"0": a, "1": b}` as `[a, b]`. */
const listOf = (value: FlaxValue | undefined): ReadonlyArray<FlaxValue> | undefined => {
  if (!(value instanceof Map)) return undefined
  const items = Array.from({ length: value.size }, (_, i) => value.get(String(i)))
  return items.some((item) => item === undefined) ? undefined : items as ReadonlyArray<FlaxValue>
}

/** An array of more than 1 GiB is written in chunks. */
const joined = (map: FlaxTree, fail: Fail): FlaxArray => {
  const shape = sizes(listOf(map.get("shape")) ?? [undefined])
  const chunks = listOf(map.get("chunks")) ?? []
  const [first] = chunks
  if (shape === undefined || !(first instanceof FlaxArray) || !chunks.every((chunk) => chunk instanceof FlaxArray && chunk.type === first.type)) {
    throw fail("badArray", "a chunked array is not made of a shape and chunks of one element type")
  }
  const pieces = (chunks as ReadonlyArray<FlaxArray>).flatMap((chunk) => chunk.pieces)
  return checked(shape, first.type, pieces, pieces[0]!.begin, fail)
}

const resolveMap = async (file: DiskFile, map: MessageMap, fail: Fail): Promise<FlaxTree | FlaxArray> => {
  const tree: FlaxTree = new Map()
  for (const [key, value] of map) tree.set(key, await resolve(file, value, fail))
  return tree.get(chunkedMark) === true ? joined(tree, fail) : tree
}

/** Turns extensions into arrays; the depth is that of the message, which has a cap. */
const resolve = async (file: DiskFile, value: MessageValue, fail: Fail): Promise<FlaxValue> => {
  if (value instanceof Map) return resolveMap(file, value, fail)
  if (value instanceof LocatedBytes) return arrayExtensions.includes(value.extension) ? arrayOf(file, value, fail) : value
  if (!Array.isArray(value)) return value
  const items: Array<FlaxValue> = []
  for (const item of value) items.push(await resolve(file, item, fail))
  return items
}

const explain = (path: string) => (cause: unknown): FlaxFileError => {
  if (cause instanceof FlaxFileError) return cause
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  if (code !== undefined) return fromDiskError(path)(new DiskError({ operation: "read", path, code, remedy: "check the disk" }))
  return failing(path)("badMessage", cause instanceof Error ? cause.message : String(cause))
}

const join = (pieces: ReadonlyArray<Uint8Array<ArrayBuffer>>): Uint8Array<ArrayBuffer> =>
  pieces.length === 1 ? pieces[0]! : new Uint8Array(Buffer.concat(pieces))

/** Opens a file and reads its tree. */
export const open = (path: string): Effect.Effect<FlaxFile, FlaxFileError, Scope.Scope> =>
  Effect.gen(function*() {
    const fail = failing(path)
    const file = yield* Effect.mapError(openFile(path), fromDiskError(path))
    const tree = yield* Effect.tryPromise({
      try: async () => resolve(file, await readMessage(file, 0, file.size, fail), fail),
      catch: explain(path)
    })
    const read = ({ pieces, type }: FlaxArray, name: string) =>
      Effect.gen(function*() {
        const parts = yield* Effect.forEach(pieces, ({ begin, end }) => Effect.mapError(readRange(file, path, begin, end), fromDiskError(path)))
        return yield* Effect.try({
          try: () => valuesOf(type, join(parts)),
          catch: (cause) => fail("badArray", cause instanceof Error ? cause.message : String(cause), { tensor: name })
        })
      })
    return { path, bytes: file.size, tree, read }
  })

/**
 * The only names that a pickle may import, and what each builds. Nothing else exists for the reader.
 *
 * @source `torch/_utils.py`, `_rebuild_tensor_v2`, `_rebuild_parameter`; `torch/serialization.py`, `persistent_load`
 * @since 0.1.0
 */
import type { ElementType } from "../elementValues.ts"
import { PickleGlobal, PickleTuple, type PickleValue, TorchStorage, TorchTensor } from "./pickleValues.ts"

/** Says that the pickle's arguments are not those of a tensor. */
export type Refuse = (detail: string) => Error

type Build = (args: ReadonlyArray<PickleValue>, refuse: Refuse) => PickleValue

const storageTypes: ReadonlyMap<string, ElementType> = new Map([
  ["torch.DoubleStorage", "F64"],
  ["torch.FloatStorage", "F32"],
  ["torch.HalfStorage", "F16"],
  ["torch.BFloat16Storage", "BF16"],
  ["torch.LongStorage", "I64"],
  ["torch.IntStorage", "I32"],
  ["torch.ShortStorage", "I16"],
  ["torch.CharStorage", "I8"],
  ["torch.ByteStorage", "U8"],
  ["torch.BoolStorage", "BOOL"]
])

const isCount = (value: PickleValue | undefined): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const counts = (value: PickleValue | undefined, what: string, refuse: Refuse): ReadonlyArray<number> => {
  if (value instanceof PickleTuple && value.items.length <= 16 && value.items.every(isCount)) return value.items
  throw refuse(`the ${what} of a tensor is no tuple of at most 16 sizes`)
}

const isEmpty = (value: PickleValue | undefined): boolean => value == null || (value instanceof Map && value.size === 0)

/** Elements of a shape; infinite where no number is large enough. */
export const elementsOf = (shape: ReadonlyArray<number>): number => shape.includes(0) ? 0 : shape.reduce((a, b) => a * b, 1)

/** Index of the last element within the storage, counted from the first. */
const reach = (shape: ReadonlyArray<number>, strides: ReadonlyArray<number>): number =>
  shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, 0)

const rebuildTensor: Build = ([storage, offset, size, stride, requiresGradient, hooks, metadata, ...rest], refuse) => {
  if (!(storage instanceof TorchStorage) || !isCount(offset) || typeof requiresGradient !== "boolean" || rest.length > 0) {
    throw refuse("a tensor is not made of a storage, an offset, a size, strides and a flag")
  }
  if (!isEmpty(hooks) || !isEmpty(metadata)) throw refuse("a tensor brings hooks or metadata")
  const shape = counts(size, "size", refuse)
  const strides = counts(stride, "strides", refuse)
  if (shape.length !== strides.length) throw refuse(`a tensor has ${shape.length} sizes and ${strides.length} strides`)
  const elements = elementsOf(shape)
  const last = elements === 0 ? offset : offset + reach(shape, strides) + 1
  if (!(last <= storage.elements)) throw refuse(`a tensor reaches beyond the ${storage.elements} elements of its storage`)
  if (!(elements <= storage.elements)) throw refuse(`a tensor of ${elements} elements repeats the ${storage.elements} of its storage`)
  return new TorchTensor(storage, offset, shape, strides)
}

const rebuildParameter: Build = ([data, requiresGradient, hooks, ...rest], refuse) => {
  if (data instanceof TorchTensor && typeof requiresGradient === "boolean" && isEmpty(hooks) && rest.length === 0) return data
  throw refuse("a parameter is not made of a tensor and a flag")
}

const orderedDict: Build = (args, refuse) => {
  if (args.length === 0) return new Map()
  throw refuse("an OrderedDict is not built empty")
}

const torchSize: Build = ([sizes, ...rest], refuse) => {
  if (rest.length === 0) return new PickleTuple(counts(sizes, "size", refuse))
  throw refuse("a torch.Size has several arguments")
}

const functions: ReadonlyMap<string, Build> = new Map([
  ["collections.OrderedDict", orderedDict],
  ["torch._utils._rebuild_tensor_v2", rebuildTensor],
  ["torch._utils._rebuild_parameter", rebuildParameter],
  ["torch.Size", torchSize]
])

const globals: ReadonlyMap<string, PickleGlobal> = new Map(
  [...functions.keys(), ...storageTypes.keys()].map((name) => [name, new PickleGlobal(name)])
)

/** The global of this name, if it is on the list. */
export const findGlobal = (name: string): PickleGlobal | undefined => globals.get(name)

/** Builds what a listed function stands for; undefined for a global that is no function. */
export const build = (global: PickleGlobal, args: ReadonlyArray<PickleValue>, refuse: Refuse): PickleValue | undefined =>
  functions.get(global.name)?.(args, refuse)

/** The storage that a persistent id `("storage", class, key, location, elements)` names. */
export const storageOf = (id: PickleValue, refuse: Refuse): TorchStorage => {
  const [kind, type, key, location, elements] = id instanceof PickleTuple && id.items.length === 5 ? id.items : []
  const element = type instanceof PickleGlobal ? storageTypes.get(type.name) : undefined
  if (kind === "storage" && element !== undefined && typeof key === "string" && typeof location === "string" && isCount(elements)) {
    return new TorchStorage(key, element, elements)
  }
  throw refuse("a persistent id names no storage")
}

/**
 * What a checkpoint's pickle may hold: plain containers, numbers, text, and tensors that point into the archive.
 *
 * @since 0.1.0
 */
import type { ElementType } from "../elementValues.ts"

/** A tuple; a `torch.Size` is one too. */
export class PickleTuple {
  readonly items: ReadonlyArray<PickleValue>
  constructor(items: ReadonlyArray<PickleValue>) {
    this.items = items
  }
}

/** An allowed global by itself, such as the storage class inside a persistent id. It cannot do anything. */
export class PickleGlobal {
  /** `module.name`. */
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** A record of the archive as numbers of one type. */
export class TorchStorage {
  readonly key: string
  readonly type: ElementType
  readonly elements: number
  constructor(key: string, type: ElementType, elements: number) {
    this.key = key
    this.type = type
    this.elements = elements
  }
}

/** A tensor as a view on a storage; offset and strides count elements and keep it inside the storage. */
export class TorchTensor {
  readonly storage: TorchStorage
  readonly offset: number
  readonly shape: ReadonlyArray<number>
  readonly strides: ReadonlyArray<number>
  constructor(storage: TorchStorage, offset: number, shape: ReadonlyArray<number>, strides: ReadonlyArray<number>) {
    this.storage = storage
    this.offset = offset
    this.shape = shape
    this.strides = strides
  }
}

/** A `dict` or `OrderedDict`, in its order. */
export interface PickleDict extends Map<string | number, PickleValue> {}

/** Anything that the reader builds. Lists are arrays; whole numbers of more than 53 bits are bigints. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Array<PickleValue>
  | PickleTuple
  | PickleDict
  | PickleGlobal
  | TorchStorage
  | TorchTensor

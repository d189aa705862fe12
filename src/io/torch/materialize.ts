/**
 * Views with strides as row-major arrays.
 *
 * @since 0.1.0
 */
import { elementsOf } from "./allowedGlobals.ts"

/** A view: element `i` lies at `offset + Σ i[axis] · strides[axis]`. */
export interface View {
  readonly offset: number
  readonly shape: ReadonlyArray<number>
  readonly strides: ReadonlyArray<number>
}

/** Whether a view is row-major without gaps; the stride of an axis of size 1 does not matter. */
export const isContiguous = (shape: ReadonlyArray<number>, strides: ReadonlyArray<number>): boolean => {
  let expected = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false
    expected *= shape[axis]!
  }
  return true
}

/** The elements of a view, row-major, in an array of their own. The view must lie inside `values`. */
export const materialize = <A extends Float32Array | Int32Array>(values: A, { offset, shape, strides }: View): A => {
  const elements = elementsOf(shape)
  if (isContiguous(shape, strides)) return values.slice(offset, offset + elements) as A
  const result = new (values.constructor as new(length: number) => A)(elements)
  const index = shape.map(() => 0)
  let from = offset
  for (let i = 0; i < elements; i++) {
    result[i] = values[from]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!
      if (++index[axis]! < shape[axis]!) break
      from -= shape[axis]! * strides[axis]!
      index[axis] = 0
    }
  }
  return result
}

/**
 * Joining and cutting decoded arrays without giving up their type.
 *
 * @since 0.1.0
 */
import type { DecodedArray } from "hyparquet"
import type { LeafPage } from "./pages.ts"

const typed = (arrays: ReadonlyArray<DecodedArray>): arrays is ReadonlyArray<Int32Array> =>
  arrays.every((array) => !Array.isArray(array) && array.constructor === arrays[0]!.constructor)

/** All values in order; a typed array where all are of one type. */
export const joinArrays = (arrays: ReadonlyArray<DecodedArray>): DecodedArray => {
  const some = arrays.filter((array) => array.length > 0)
  if (some.length <= 1) return some[0] ?? []
  if (!typed(some)) {
    const joined: Array<unknown> = []
    for (const array of some) for (let i = 0; i < array.length; i++) joined.push(array[i])
    return joined
  }
  const length = some.reduce((sum, array) => sum + array.length, 0)
  const joined = new (some[0]!.constructor as Int32ArrayConstructor)(length)
  let at = 0
  for (const array of some) {
    joined.set(array, at)
    at += array.length
  }
  return joined
}

const joinLevels = (pages: ReadonlyArray<LeafPage>, count: number, level: (page: LeafPage) => Uint8Array | undefined, highest: number) => {
  if (pages.every((page) => level(page) === undefined)) return undefined
  const joined = new Uint8Array(count)
  let at = 0
  for (const page of pages) {
    const levels = level(page)
    if (levels === undefined) joined.fill(highest, at, at + page.count)
    else joined.set(levels, at)
    at += page.count
  }
  return joined
}

/** Pages as one. */
export const joinPages = (pages: ReadonlyArray<LeafPage>, maxDefinition: number): LeafPage => {
  if (pages.length === 1) return pages[0]!
  const count = pages.reduce((sum, page) => sum + page.count, 0)
  return {
    count,
    definition: joinLevels(pages, count, ({ definition }) => definition, maxDefinition),
    repetition: joinLevels(pages, count, ({ repetition }) => repetition, 0),
    values: joinArrays(pages.map(({ values }) => values))
  }
}

/** A page in two, before entry `at`. */
export const splitPage = (page: LeafPage, at: number, maxDefinition: number): readonly [LeafPage, LeafPage] => {
  const { count, definition, repetition, values } = page
  let value = at
  if (definition !== undefined) {
    value = 0
    for (let i = 0; i < at; i++) if (definition[i] === maxDefinition) value++
  }
  return [
    { count: at, definition: definition?.subarray(0, at), repetition: repetition?.subarray(0, at), values: values.slice(0, value) },
    { count: count - at, definition: definition?.subarray(at), repetition: repetition?.subarray(at), values: values.slice(value) }
  ]
}

/**
 * Rows from leaves: levels say where lists begin and what is null.
 *
 * @source https://research.google/pubs/dremel-interactive-analysis-of-web-scale-datasets-2/ (record assembly)
 * @since 0.1.0
 */
import type { DecodedArray } from "hyparquet"
import { require } from "./Damage.ts"
import type { LeafPage } from "./pages.ts"
import type { Shape } from "./schema.ts"

/** A leaf being read entry by entry. */
interface LeafCursor {
  readonly page: LeafPage
  readonly maxDefinition: number
  entry: number
  value: number
}

const uneven = "the columns of a struct have different numbers of rows"

const definitionAt = ({ entry, maxDefinition, page }: LeafCursor): number => {
  require(entry < page.count, uneven)
  return page.definition === undefined ? maxDefinition : page.definition[entry]!
}

const repetitionAt = ({ entry, page }: LeafCursor): number => entry < page.count && page.repetition !== undefined ? page.repetition[entry]! : 0

const take = (cursor: LeafCursor): unknown => {
  const there = definitionAt(cursor) === cursor.maxDefinition
  cursor.entry++
  return there ? cursor.page.values[cursor.value++] : null
}

/** The node's cursors: those of all leaves below it; the first one leads. */
type Reader = { readonly leads: LeafCursor; readonly cursors: ReadonlyArray<LeafCursor>; readonly read: () => unknown }

/** Passes over one entry in every leaf: the node is null, or the list empty. */
const pass = (cursors: ReadonlyArray<LeafCursor>): void => {
  for (const cursor of cursors) take(cursor)
}

const orNull = (definition: number, { cursors, leads, read }: Reader): Reader => ({
  cursors,
  leads,
  read: () => {
    if (definitionAt(leads) >= definition) return read()
    pass(cursors)
    return null
  }
})

const listReader = (entry: number, repetition: number, { cursors, leads, read }: Reader): Reader => ({
  cursors,
  leads,
  read: () => {
    const items: Array<unknown> = []
    if (definitionAt(leads) < entry) {
      pass(cursors)
      return items
    }
    do items.push(read())
    while (repetitionAt(leads) >= repetition)
    return items
  }
})

const structReader = (fields: ReadonlyArray<readonly [string, Reader]>): Reader => ({
  cursors: fields.flatMap(([, { cursors }]) => cursors),
  leads: fields[0]![1].leads,
  read: () => Object.fromEntries(fields.map(([name, { read }]) => [name, read()]))
})

const pairReader = (key: Reader, value: Reader): Reader => ({
  cursors: [...key.cursors, ...value.cursors],
  leads: key.leads,
  read: () => [key.read(), value.read()]
})

const readerOf = (shape: Shape, cursorOf: (leaf: number) => LeafCursor): Reader => {
  const inner = (one: Shape) => readerOf(one, cursorOf)
  switch (shape.kind) {
    case "leaf": {
      const leads = cursorOf(shape.leaf.index)
      return { leads, cursors: [leads], read: () => take(leads) }
    }
    case "struct":
      return orNull(shape.definition, structReader(shape.fields.map(([name, field]) => [name, inner(field)])))
    case "field":
      return orNull(shape.definition, inner(shape.inner))
    case "list":
      return orNull(shape.definition, listReader(shape.entry, shape.repetition, inner(shape.element)))
    case "map":
      return orNull(shape.definition, listReader(shape.entry, shape.repetition, pairReader(inner(shape.key), inner(shape.value))))
  }
}

/** Values with nulls between them. */
const withNulls = ({ count, definition, values }: LeafPage, maxDefinition: number): DecodedArray => {
  if (definition === undefined) return values
  const out: Array<unknown> = []
  for (let i = 0, value = 0; i < count; i++) out.push(definition[i] === maxDefinition ? values[value++] : null)
  return out
}

/** Lists of a leaf's values: slices of them, typed arrays where no element is null. */
const lists = ({ count, definition, repetition, values }: LeafPage, shape: Shape & { readonly kind: "list" }, maxDefinition: number): Array<unknown> => {
  const rows: Array<unknown> = []
  for (let i = 0, value = 0; i < count;) {
    const level = definition === undefined ? maxDefinition : definition[i]!
    const [first, begin] = [i, value]
    let whole = true
    do {
      if (definition === undefined || definition[i] === maxDefinition) value++
      else whole = false
      i++
    } while (i < count && repetition![i] !== 0)
    if (level < shape.definition) rows.push(null)
    else if (level < shape.entry) rows.push([])
    else if (whole) rows.push(values.slice(begin, value))
    else rows.push(withNulls({ count: i - first, definition: definition!.subarray(first, i), repetition, values: values.slice(begin, value) }, maxDefinition))
  }
  return rows
}

const general = (shape: Shape, pages: ReadonlyMap<number, LeafPage>, levels: (leaf: number) => number): Array<unknown> => {
  const cursors = new Map([...pages].map(([leaf, page]): [number, LeafCursor] => [leaf, { page, maxDefinition: levels(leaf), entry: 0, value: 0 }]))
  const reader = readerOf(shape, (leaf) => cursors.get(leaf)!)
  const rows: Array<unknown> = []
  while (reader.leads.entry < reader.leads.page.count) {
    for (const cursor of reader.cursors) require(repetitionAt(cursor) === 0, uneven)
    rows.push(reader.read())
  }
  for (const { entry, page } of reader.cursors) require(entry === page.count, uneven)
  return rows
}

/** A field that is read alone is null wherever its struct is: the levels of the leaf say so already. */
const withoutFields = (shape: Shape): Shape => shape.kind === "field" ? withoutFields(shape.inner) : shape

/** The rows of a column, from whole rows of each of its leaves (by leaf index; `levels` gives their highest definition level). */
export const assemble = (column: Shape, pages: ReadonlyMap<number, LeafPage>, levels: (leaf: number) => number): DecodedArray => {
  const shape = withoutFields(column)
  if (shape.kind === "leaf") return withNulls(pages.get(shape.leaf.index)!, shape.leaf.maxDefinition)
  if (shape.kind === "list" && shape.element.kind === "leaf" && shape.repetition === 1) {
    return lists(pages.get(shape.element.leaf.index)!, shape, shape.element.leaf.maxDefinition)
  }
  return general(shape, pages, levels)
}

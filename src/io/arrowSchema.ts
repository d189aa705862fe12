/**
 * The Arrow schema that Arrow's own writers leave in a parquet footer, kept true when columns are chosen and added.
 *
 * It tells Arrow readers what parquet has no word for: names of time zones, durations, dictionaries, large lists. It
 * counts columns by their place, so an unchanged one would be wrong. A new table is put in front of the old bytes and
 * points into them: flatbuffers refer forward only, so the old bytes stay as they are.
 *
 * @since 0.1.0
 */
import type { Column } from "./parquetTypes.ts"

/** Footer key of the schema. */
export const arrowSchemaKey = "ARROW:schema"

/** A piece of a flatbuffer, 8-byte aligned; others refer to its byte `target`. */
interface Block {
  readonly size: number
  readonly target: number
  readonly write: (view: DataView, at: number, addressOf: (to: Reference) => number) => void
}

/** A new block, or a place among the old bytes. */
type Reference = Block | number

type Slot =
  | { readonly slot: number; readonly bytes: 1 | 2 | 4 | 8; readonly value: number }
  | { readonly slot: number; readonly to: Reference }

const aligned = (size: number, to = 8): number => Math.ceil(size / to) * to

const writeReference = (view: DataView, at: number, address: number): void => view.setUint32(at, address - at, true)

const writeScalar = (view: DataView, at: number, bytes: 1 | 2 | 4 | 8, value: number): void => {
  if (bytes === 1) view.setUint8(at, value)
  else if (bytes === 2) view.setInt16(at, value, true)
  else if (bytes === 4) view.setInt32(at, value, true)
  else view.setBigInt64(at, BigInt(value), true)
}

/** A table with its vtable before it; every field has eight bytes, which is more than enough and always aligned. */
const table = (slots: ReadonlyArray<Slot>): Block => {
  const entries = Math.max(-1, ...slots.map(({ slot }) => slot)) + 1
  const target = aligned(4 + 2 * entries)
  const size = 8 + 8 * slots.length
  return {
    size: target + size,
    target,
    write: (view, at, addressOf) => {
      view.setUint16(at, 4 + 2 * entries, true)
      view.setUint16(at + 2, size, true)
      view.setInt32(at + target, target, true)
      slots.forEach((field, i) => {
        const offset = 8 + 8 * i
        view.setUint16(at + 4 + 2 * field.slot, offset, true)
        if ("to" in field) writeReference(view, at + target + offset, addressOf(field.to))
        else writeScalar(view, at + target + offset, field.bytes, field.value)
      })
    }
  }
}

const vector = (references: ReadonlyArray<Reference>): Block => ({
  size: 4 + 4 * references.length,
  target: 0,
  write: (view, at, addressOf) => {
    view.setUint32(at, references.length, true)
    references.forEach((reference, i) => writeReference(view, at + 4 + 4 * i, addressOf(reference)))
  }
})

const text = (value: string): Block => {
  const bytes = new TextEncoder().encode(value)
  return {
    size: 4 + bytes.length + 1,
    target: 0,
    write: (view, at) => {
      view.setUint32(at, bytes.length, true)
      new Uint8Array(view.buffer).set(bytes, view.byteOffset + at + 4)
    }
  }
}

/** Tags of Arrow's `Type` union, and the tables that go with them. */
const scalarTypes: Readonly<Record<Column["scalar"], readonly [tag: number, slots: ReadonlyArray<Slot>]>> = {
  string: [5, []],
  int32: [2, [{ slot: 0, bytes: 4, value: 32 }, { slot: 1, bytes: 1, value: 1 }]],
  int64: [2, [{ slot: 0, bytes: 4, value: 64 }, { slot: 1, bytes: 1, value: 1 }]],
  float: [3, [{ slot: 0, bytes: 2, value: 1 }]],
  double: [3, [{ slot: 0, bytes: 2, value: 2 }]],
  boolean: [6, []]
}

const listTag = 12

/** A `Field` and every block that it refers to, itself first. */
const field = (name: string, nullable: boolean, tag: number, type: Block, children: ReadonlyArray<ReadonlyArray<Block>>): ReadonlyArray<Block> => {
  const [label, list] = [text(name), vector(children.map(([child]) => child!))]
  const own = table([
    { slot: 0, to: label },
    { slot: 1, bytes: 1, value: Number(nullable) },
    { slot: 2, bytes: 1, value: tag },
    { slot: 3, to: type },
    { slot: 5, to: list }
  ])
  return [own, label, type, list, ...children.flat()]
}

const fieldOf = ({ list, name, nullable, scalar }: Column): ReadonlyArray<Block> => {
  const [tag, slots] = scalarTypes[scalar]
  return list
    ? field(name, nullable, listTag, table([]), [field("element", false, tag, table(slots), [])])
    : field(name, nullable, tag, table(slots), [])
}

/** Lays blocks out in order behind a root reference to the first one, then the old bytes. */
const assemble = (blocks: ReadonlyArray<Block>, old: Uint8Array): Uint8Array => {
  const places = new Map<Block, number>()
  let end = 8
  for (const block of blocks) {
    places.set(block, end)
    end += aligned(block.size)
  }
  const bytes = new Uint8Array(end + aligned(old.length))
  const view = new DataView(bytes.buffer)
  const addressOf = (to: Reference) => typeof to === "number" ? end + to : places.get(to)! + to.target
  writeReference(view, 0, addressOf(blocks[0]!))
  for (const block of blocks) block.write(view, places.get(block)!, addressOf)
  bytes.set(old, end)
  return bytes
}

/** Where a field of the table at `at` lies; undefined where it has none. */
const fieldAt = (view: DataView, at: number, slot: number): number | undefined => {
  const vtable = at - view.getInt32(at, true)
  const offset = 4 + 2 * slot < view.getUint16(vtable, true) ? view.getUint16(vtable + 4 + 2 * slot, true) : 0
  return offset === 0 ? undefined : at + offset
}

const follow = (view: DataView, at: number): number => at + view.getUint32(at, true)

const referenceAt = (view: DataView, at: number, slot: number): number | undefined => {
  const place = fieldAt(view, at, slot)
  return place === undefined ? undefined : follow(view, place)
}

const textAt = (view: DataView, at: number): string =>
  Buffer.from(view.buffer, view.byteOffset + at + 4, view.getUint32(at, true)).toString("utf8")

/** The fields of a schema by name, and the parts of it that are kept. */
const readSchema = (old: Uint8Array) => {
  const view = new DataView(old.buffer, old.byteOffset, old.byteLength)
  const schema = referenceAt(view, follow(view, 0), 2)!
  const fields = referenceAt(view, schema, 1)!
  const places = Array.from({ length: view.getUint32(fields, true) }, (_, i) => follow(view, fields + 4 + 4 * i))
  return {
    fields: new Map(places.map((place) => [textAt(view, referenceAt(view, place, 0)!), place])),
    metadata: referenceAt(view, schema, 2),
    features: referenceAt(view, schema, 3)
  }
}

/** The message behind the optional continuation mark and the length. */
const unframed = (bytes: Uint8Array): Uint8Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = view.getUint32(0, true) === 0xffffffff ? 8 : 4
  return bytes.slice(start, start + view.getUint32(start - 4, true))
}

const framed = (message: Uint8Array): Uint8Array => {
  const out = new Uint8Array(8 + message.length)
  const view = new DataView(out.buffer)
  view.setUint32(0, 0xffffffff, true)
  view.setUint32(4, message.length, true)
  out.set(message, 8)
  return out
}

const schemaTag = 1
/** Of messages since Arrow 1.0. */
const version = 4

/**
 * The schema of a file that has `carried` of the columns that `encoded` (base64) describes, in this order, and `added`
 * ones. Undefined where `encoded` is none or does not know a carried column.
 */
export const extendArrowSchema = (encoded: string, carried: ReadonlyArray<string>, added: ReadonlyArray<Column>): string | undefined => {
  try {
    const old = unframed(Buffer.from(encoded, "base64"))
    const { features, fields, metadata } = readSchema(old)
    if (!carried.every((name) => fields.has(name))) return undefined
    const own = added.map(fieldOf)
    const all = vector([...carried.map((name) => fields.get(name)!), ...own.map(([block]) => block!)])
    const schema = table([
      { slot: 1, to: all },
      ...(metadata === undefined ? [] : [{ slot: 2, to: metadata }]),
      ...(features === undefined ? [] : [{ slot: 3, to: features }])
    ])
    const message = table([{ slot: 0, bytes: 2, value: version }, { slot: 1, bytes: 1, value: schemaTag }, { slot: 2, to: schema }])
    return Buffer.from(framed(assemble([message, schema, all, ...own.flat()], old))).toString("base64")
  } catch {
    return undefined
  }
}

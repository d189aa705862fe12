/**
 * One column of one row group, decoded page by page into whole rows.
 *
 * @since 0.1.0
 */
import type { DecodedArray } from "hyparquet"
import { joinPages, splitPage } from "./arrays.ts"
import { assemble } from "./assemble.ts"
import { chunkOf, chunkPages, type Opened } from "./chunkPages.ts"
import { require } from "./Damage.ts"
import { type LeafPage, PageDecoder } from "./pages.ts"
import type { Leaf } from "./schema.ts"

/** The pages of a leaf, decoded. */
async function* leafPages(opened: Opened, group: number, leaf: Leaf): AsyncGenerator<LeafPage> {
  const decoder = new PageDecoder(leaf, chunkOf(opened, group, leaf.index))
  for await (const page of chunkPages(opened, group, leaf.index, ({ header, stored }) => decoder.decode(header, stored))) {
    if (page !== undefined && page.count > 0) yield page
  }
}

/** The entry that the last row begins with; 0 where there is only one. */
const lastRow = ({ count, repetition }: LeafPage): number => {
  if (repetition === undefined) return count
  let at = count - 1
  while (at > 0 && repetition[at] !== 0) at--
  return at
}

/** Pages cut at rows: a list may go on in the next page. */
async function* wholeRows(opened: Opened, group: number, leaf: Leaf): AsyncGenerator<LeafPage> {
  let held: Array<LeafPage> = []
  for await (const page of leafPages(opened, group, leaf)) {
    if (held.length === 0) require(page.repetition === undefined || page.repetition[0] === 0, "the first row of the column begins inside a list")
    const cut = lastRow(page)
    if (cut === page.count) yield page
    else if (cut === 0 && (held.length > 0 && page.repetition![0] !== 0 || held.length === 0)) held.push(page)
    else {
      const [before, after] = splitPage(page, cut, leaf.maxDefinition)
      const rows = joinPages(before.count === 0 ? held : [...held, before], leaf.maxDefinition)
      held = [after]
      yield rows
    }
  }
  if (held.length > 0) yield joinPages(held, leaf.maxDefinition)
}

const everything = async (pages: AsyncGenerator<LeafPage>, leaf: Leaf): Promise<LeafPage> => {
  const all: Array<LeafPage> = []
  for await (const page of pages) all.push(page)
  if (all.length > 0) return joinPages(all, leaf.maxDefinition)
  return { count: 0, definition: undefined, repetition: undefined, values: [] }
}

async function* pieces(opened: Opened, group: number, path: ReadonlyArray<string>): AsyncGenerator<DecodedArray> {
  const leaves = opened.schema.leavesOf(path)
  const shape = opened.schema.shapeOf(path)
  const levels = new Map(leaves.map(({ index, maxDefinition }) => [index, maxDefinition]))
  const rowsOf = (pages: ReadonlyMap<number, LeafPage>) => assemble(shape, pages, (leaf) => levels.get(leaf)!)
  const [only, ...others] = leaves
  if (only !== undefined && others.length === 0) {
    for await (const page of wholeRows(opened, group, only)) yield rowsOf(new Map([[only.index, page]]))
    return
  }
  const pages = new Map<number, LeafPage>()
  for (const leaf of leaves) pages.set(leaf.index, await everything(wholeRows(opened, group, leaf), leaf))
  yield rowsOf(pages)
}

/** The rows of the column at `path`, piece by piece; together exactly `rows`, or it throws `Damage`. */
export async function* readPieces(opened: Opened, group: number, path: ReadonlyArray<string>, rows: number): AsyncGenerator<DecodedArray> {
  if (rows === 0) return
  let found = 0
  for await (const piece of pieces(opened, group, path)) {
    found += piece.length
    require(found <= rows, `more than the ${rows} rows that are promised were found`)
    if (piece.length > 0) yield piece
  }
  require(found === rows, `${found} values were found where ${rows} rows are promised`)
}

/** The next piece that has rows; empty at the end. */
const nextPiece = async (column: AsyncGenerator<DecodedArray>): Promise<DecodedArray> => {
  for (let next = await column.next(); next.done !== true; next = await column.next()) {
    if (next.value.length > 0) return next.value
  }
  return []
}

/** Columns that go forward together: each array holds the same rows of its column. */
export async function* alongside(columns: ReadonlyArray<AsyncGenerator<DecodedArray>>): AsyncGenerator<ReadonlyArray<DecodedArray>> {
  const held: Array<DecodedArray> = columns.map(() => [])
  try {
    while (true) {
      for (const [i, column] of columns.entries()) {
        if (held[i]!.length === 0) held[i] = await nextPiece(column)
        if (held[i]!.length === 0) return
      }
      const count = Math.min(...held.map(({ length }) => length))
      yield held.map((values) => values.length === count ? values : values.slice(0, count))
      for (const [i, values] of held.entries()) held[i] = values.slice(count)
    }
  } finally {
    for (const column of columns) await column.return(undefined)
  }
}

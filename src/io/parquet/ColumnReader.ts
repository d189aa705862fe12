/**
 * One column of one row group, decoded page by page into whole rows.
 *
 * @since 0.2.0
 */
import type { ColumnMetaData, DecodedArray, FileMetaData } from "hyparquet"
import { joinPages, splitPage } from "./arrays.ts"
import { assemble } from "./assemble.ts"
import { ChunkReader, type ReadBytes } from "./ChunkReader.ts"
import { Damage, require } from "./Damage.ts"
import { readRange } from "./footer.ts"
import { type LeafPage, PageDecoder } from "./pages.ts"
import type { FileSchema, Leaf } from "./schema.ts"

/** What the columns of a file are read with. */
export interface Opened {
  readonly schema: FileSchema
  readonly metadata: FileMetaData
  readonly bytes: number
  readonly read: ReadBytes
  /** Bytes fetched at once from a column chunk. */
  readonly windowBytes: number
}

const chunkOf = ({ metadata }: Opened, group: number, leaf: Leaf): ColumnMetaData => {
  const { crypto_metadata: encryption, meta_data: chunk } = metadata.row_groups[group]!.columns[leaf.index]!
  if (encryption !== undefined || chunk === undefined) throw new Damage("the column is encrypted", "unsupported")
  return chunk
}

const placed = (page: number, cause: unknown): unknown => {
  if (cause instanceof Damage) return new Damage(`page ${page}: ${cause.message}`, cause.reason)
  return cause instanceof RangeError || cause instanceof TypeError ? new Damage(`page ${page}: the data cannot be decoded (${cause.message})`) : cause
}

/** The pages of a leaf; together they have as many entries as the footer promises. */
async function* leafPages(opened: Opened, group: number, leaf: Leaf): AsyncGenerator<LeafPage> {
  const chunk = chunkOf(opened, group, leaf)
  const [begin, end] = readRange(chunk, opened.metadata, opened.bytes)
  const reader = new ChunkReader(opened.read, begin, end, opened.windowBytes)
  const decoder = new PageDecoder(leaf, chunk)
  const promised = Number(chunk.num_values)
  let count = 0
  while (count < promised) {
    const next = await reader.next()
    if (next === undefined) throw new Damage(`the column ends after ${count} of ${promised} values`)
    let page: LeafPage | undefined
    try {
      page = decoder.decode(next.header, next.stored)
    } catch (cause) {
      throw placed(decoder.page, cause)
    }
    if (page === undefined || page.count === 0) continue
    count += page.count
    require(count <= promised, `the column has more than the ${promised} values that are promised`)
    yield page
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

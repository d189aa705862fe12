/**
 * The columns of a parquet file in words, and finding the one that a reader asks for.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { SchemaTree } from "hyparquet"
import { getTreePath } from "hyparquet/src/schema.js"
import { nearest } from "./nearest.ts"
import { isText } from "./parquet/convert.ts"
import { locate } from "./parquet/schema.ts"
import { ParquetError } from "./ParquetError.ts"

/** A column in words: `text`, `list of int32`, `struct`, `int64`, …; at the top level, or a field found by its path. */
export interface ColumnInfo {
  /** Name, or the dotted path that it was asked for by. */
  readonly name: string
  /** Where it is in the schema: names from the root down. */
  readonly path: ReadonlyArray<string>
  readonly type: string
  readonly nullable: boolean
  readonly isText: boolean
  /** Whether the values are lists of whole numbers, such as token ids. */
  readonly isIds: boolean
  /** Whether the values are lists, structs or maps. */
  readonly isNested: boolean
}

/** Whole numbers go by one name, whichever of the old and new types a writer chose. */
const leafType = ({ element }: SchemaTree): string => {
  const logical = element.logical_type
  if (logical?.type === "INTEGER") return `${logical.isSigned ? "" : "u"}int${logical.bitWidth}`
  const named = logical?.type ?? element.converted_type?.replace(/^(U?INT)_/, "$1")
  return (named ?? (element.type === "BYTE_ARRAY" ? "binary" : element.type ?? "group")).toLowerCase()
}

const isRepeated = (node: SchemaTree): boolean => node.element.repetition_type === "REPEATED"

const typeInWords = (node: SchemaTree): string => {
  if (node.children.length === 0) return isText(node.element) ? "text" : leafType(node)
  const annotation = node.element.converted_type ?? node.element.logical_type?.type
  const inner = node.children[0]!
  if (annotation === "MAP" || annotation === "MAP_KEY_VALUE") return "map"
  if (annotation !== "LIST" || !isRepeated(inner)) return "struct"
  return `list of ${typeInWords(inner.children.length === 1 && !isRepeated(inner.children[0]!) ? inner.children[0]! : inner)}`
}

/** The type of a column with the lists that lie on the way to it. */
const columnType = (node: SchemaTree, depth: number): string => {
  const own = typeInWords(node)
  const inside = /^(list of )*/.exec(own)![0].length / "list of ".length
  return "list of ".repeat(Math.max(0, depth - inside)) + own
}

const whole = /^list of u?int(8|16|32|64)$/

const columnInfo = (name: string, nodes: ReadonlyArray<SchemaTree>): ColumnInfo => {
  const node = nodes.at(-1)!
  const leaf = lastLeaf(node)
  const type = columnType(node, [...nodes, ...leaf.between].filter(isRepeated).length)
  return {
    name,
    path: node.path,
    type,
    nullable: nodes.some(({ element }) => element.repetition_type !== "REQUIRED"),
    isText: type === "text",
    isIds: whole.test(type),
    isNested: node.children.length > 0 || type.startsWith("list")
  }
}

/** The nodes below a list down to what it lists. */
const lastLeaf = (node: SchemaTree): { readonly between: ReadonlyArray<SchemaTree> } => {
  const between: Array<SchemaTree> = []
  for (let at = node; at.children.length === 1 && typeInWords(at).startsWith("list"); at = at.children[0]!) between.push(at.children[0]!)
  return { between }
}

/** The columns at the top level, in the file's order. */
export const columnsOf = (tree: SchemaTree): ReadonlyArray<ColumnInfo> =>
  tree.children.map((node) => columnInfo(node.element.name, [node]))

/** The field at a dotted path; lists on the way need not be spelled out. */
const fieldAt = (tree: SchemaTree, name: string): ColumnInfo | undefined => {
  const found = locate(tree, name.split("."))
  return found === undefined || found === tree ? undefined : columnInfo(name, getTreePath(tree, found.path).slice(1))
}

/** What a column is looked up in. */
export interface HasColumns {
  readonly path: string
  readonly columns: ReadonlyArray<ColumnInfo>
  readonly tree: SchemaTree
}

/** The column of that name or dotted path, or an error that lists the names there are and the nearest one. */
export const requireColumn = (file: HasColumns, name: string): Effect.Effect<ColumnInfo, ParquetError> => {
  const found = file.columns.find((column) => column.name === name) ?? fieldAt(file.tree, name)
  if (found !== undefined) return Effect.succeed(found)
  const names = file.columns.map((column) => column.name)
  const close = nearest(name, names)
  return Effect.fail(
    new ParquetError({
      file: file.path,
      reason: "missingColumn",
      column: name,
      detail: `there is no such column (the file has ${names.map((n) => `"${n}"`).join(", ") || "none"})`,
      remedy: close === undefined ? "name one of these" : `did you mean "${close}"?`
    })
  )
}

const requireKind = (
  file: HasColumns,
  column: ColumnInfo,
  kind: string,
  fits: (column: ColumnInfo) => boolean
): Effect.Effect<ColumnInfo, ParquetError> => {
  if (fits(column)) return Effect.succeed(column)
  const others = file.columns.filter(fits).map((c) => `"${c.name}"`)
  return Effect.fail(
    new ParquetError({
      file: file.path,
      reason: "wrongType",
      column: column.name,
      detail: `the column holds ${column.type}, not ${kind}`,
      remedy: others.length > 0 ? `name a column of ${kind} (${others.join(", ")})` : `convert the column to ${kind} first`
    })
  )
}

/** Fails, saying what type the column has, unless it is text. */
export const requireText = (file: HasColumns, column: ColumnInfo): Effect.Effect<ColumnInfo, ParquetError> =>
  requireKind(file, column, "text", ({ isText }) => isText)

/** Fails, saying what type the column has, unless it is lists of whole numbers. */
export const requireIds = (file: HasColumns, column: ColumnInfo): Effect.Effect<ColumnInfo, ParquetError> =>
  requireKind(file, column, "lists of whole numbers", ({ isIds }) => isIds)

/**
 * The columns of a parquet file in words, and finding the one that a reader asks for.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { SchemaTree } from "hyparquet"
import { nearest } from "./nearest.ts"
import { ParquetError } from "./ParquetError.ts"

/** A column at the top level of a file, in words: `text`, `list of int32`, `struct`, `int64`, … */
export interface ColumnInfo {
  readonly name: string
  readonly type: string
  readonly nullable: boolean
  readonly isText: boolean
  /** Whether the values are lists, structs or maps. */
  readonly isNested: boolean
}

const isTextElement = ({ element, children }: SchemaTree): boolean =>
  children.length === 0 && element.type === "BYTE_ARRAY" && element.repetition_type !== "REPEATED" &&
  ["UTF8", "ENUM", "STRING"].some((name) => name === element.converted_type || name === element.logical_type?.type)

const leafType = ({ element }: SchemaTree): string => {
  const named = element.logical_type?.type ?? element.converted_type
  return (named ?? (element.type === "BYTE_ARRAY" ? "binary" : element.type ?? "group")).toLowerCase()
}

const typeInWords = (node: SchemaTree): string => {
  if (isTextElement(node)) return "text"
  if (node.children.length === 0) return leafType(node)
  const isList = node.element.converted_type === "LIST" || node.element.logical_type?.type === "LIST"
  const inner = node.children[0]
  if (!isList || inner === undefined) return node.element.converted_type === "MAP" ? "map" : "struct"
  return `list of ${typeInWords(inner.children.length === 1 ? inner.children[0]! : inner)}`
}

/** The columns at the top level, in the file's order. */
export const columnsOf = (tree: SchemaTree): ReadonlyArray<ColumnInfo> =>
  tree.children.map((node) => ({
    name: node.element.name,
    type: typeInWords(node),
    nullable: node.element.repetition_type !== "REQUIRED",
    isText: isTextElement(node),
    isNested: node.children.length > 0 || node.element.repetition_type === "REPEATED"
  }))

/** What a column is looked up in. */
interface HasColumns {
  readonly path: string
  readonly columns: ReadonlyArray<ColumnInfo>
}

/** The column of that name, or an error that lists the names there are and the nearest one. */
export const requireColumn = (file: HasColumns, name: string): Effect.Effect<ColumnInfo, ParquetError> => {
  const found = file.columns.find((column) => column.name === name)
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

/** The text column of that name, or an error that says what type it has instead. */
export const requireTextColumn = (file: HasColumns, name: string): Effect.Effect<ColumnInfo, ParquetError> =>
  Effect.flatMap(requireColumn(file, name), (column) => {
    if (column.isText) return Effect.succeed(column)
    const others = file.columns.filter((c) => c.isText).map((c) => `"${c.name}"`)
    return Effect.fail(
      new ParquetError({
        file: file.path,
        reason: "wrongType",
        column: name,
        detail: `the column holds ${column.type}, not text`,
        remedy: others.length > 0 ? `name a text column (${others.join(", ")})` : "convert the column to text first"
      })
    )
  })

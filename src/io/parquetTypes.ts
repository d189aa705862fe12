/**
 * Column types of written parquet files: parsing, telling them from a row, and checking rows against them.
 *
 * @since 0.1.0
 */
import type { SchemaElement } from "hyparquet"

type Scalar = "string" | "int32" | "int64" | "float" | "double" | "boolean"

/** The type of a column; `?` at the end allows nulls. */
export type ColumnType = `${Scalar | `list<${Scalar}>`}${"" | "?"}`

/** A row to write, by column. */
export type Fields = Readonly<Record<string, unknown>>

/** A parsed {@link ColumnType} with its name. */
export interface Column {
  readonly name: string
  readonly scalar: Scalar
  readonly list: boolean
  readonly nullable: boolean
}

const physical: Record<Scalar, Pick<SchemaElement, "type" | "converted_type" | "logical_type">> = {
  string: { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } },
  int32: { type: "INT32" },
  int64: { type: "INT64" },
  float: { type: "FLOAT" },
  double: { type: "DOUBLE" },
  boolean: { type: "BOOLEAN" }
}

/** Parses `list<int32>?` and the like; undefined where it is no column type. */
export const parseType = (name: string, type: string): Column | undefined => {
  const match = /^(?:(list)<(\w+)>|(\w+))(\?)?$/.exec(type)
  const scalar = match?.[2] ?? match?.[3]
  if (match === null || scalar === undefined || !Object.hasOwn(physical, scalar)) return undefined
  return { name, scalar: scalar as Scalar, list: match[1] !== undefined, nullable: match[4] !== undefined }
}

/** The schema elements of a column, in the format's order. */
export const elementsOf = ({ name, scalar, list, nullable }: Column): ReadonlyArray<SchemaElement> => {
  const repetition_type = nullable ? "OPTIONAL" as const : "REQUIRED" as const
  if (!list) return [{ name, repetition_type, ...physical[scalar] }]
  return [
    { name, repetition_type, converted_type: "LIST", logical_type: { type: "LIST" }, num_children: 1 },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    { name: "element", repetition_type: "REQUIRED", ...physical[scalar] }
  ]
}

/** The type that a value suggests, nulls allowed; undefined where it suggests none. */
export const inferType = (value: unknown): ColumnType | undefined => {
  if (typeof value === "string") return "string?"
  if (typeof value === "number") return "double?"
  if (typeof value === "bigint") return "int64?"
  if (typeof value === "boolean") return "boolean?"
  if (value instanceof Int32Array) return "list<int32>?"
  if (value instanceof Float32Array) return "list<float>?"
  if (value instanceof Float64Array) return "list<double>?"
  if (!Array.isArray(value) || value.length === 0) return undefined
  const inner = inferType(value[0])
  return inner === undefined || inner.startsWith("list") ? undefined : `list<${inner.slice(0, -1) as Scalar}>?`
}

const fits: Record<Scalar, (value: unknown) => boolean> = {
  // A lone surrogate has no UTF-8: it would be replaced in silence.
  string: (value) => typeof value === "string" && value.isWellFormed(),
  int32: (value) => typeof value === "number" && (value | 0) === value,
  int64: (value) => typeof value === "bigint" ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value),
  float: (value) => typeof value === "number",
  double: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean"
}

const isList = (value: unknown): value is ArrayLike<unknown> => Array.isArray(value) || ArrayBuffer.isView(value)

/** Arrays whose every element fits: no need to look at each. */
const fitsWhole = (scalar: Scalar, value: unknown): boolean => {
  if (scalar === "int32") return value instanceof Int32Array
  return (scalar === "float" || scalar === "double") && (value instanceof Float32Array || value instanceof Float64Array)
}

const fitsColumn = (column: Column, value: unknown): boolean => {
  if (value === null || value === undefined) return column.nullable
  if (!column.list) return fits[column.scalar](value)
  return fitsWhole(column.scalar, value) || (isList(value) && Array.prototype.every.call(value, fits[column.scalar]))
}

/** A value as hyparquet-writer wants it. */
export const encode = (column: Column, value: unknown): unknown => {
  if (value === null || value === undefined) return null
  if (column.scalar !== "int64") return column.list ? Array.from(value as ArrayLike<unknown>) : value
  return column.list ? Array.from(value as ArrayLike<number>, BigInt) : BigInt(value as number)
}

const typeName = ({ scalar, list, nullable }: Column) => `${list ? `list<${scalar}>` : scalar}${nullable ? "?" : ""}`

const inWords = (value: unknown): string => {
  if (value === null || value === undefined) return "null"
  return isList(value) ? "a list" : `${typeof value} ${String(value).slice(0, 40)}`
}

/** A column of a row that does not fit, and why. */
export interface Misfit {
  readonly column: string
  readonly detail: string
  readonly remedy: string
}

/** The first misfit of a row, if there is one. */
export const misfit = (columns: ReadonlyArray<Column>, row: Fields): Misfit | undefined => {
  const wrong = columns.find((column) => !fitsColumn(column, row[column.name]))
  if (wrong !== undefined) {
    const detail = `the value (${inWords(row[wrong.name])}) does not fit the type ${typeName(wrong)}`
    return { column: wrong.name, detail, remedy: `change the row or the type in "schema"` }
  }
  const unknown = Object.keys(row).find((name) => !columns.some((column) => column.name === name))
  if (unknown === undefined) return undefined
  const detail = "the row has a column that the file has not"
  return { column: unknown, detail, remedy: `give every column in "schema", or drop it from the row` }
}

/** About how many characters or list elements a row holds. */
export const extentOf = (row: Fields): number =>
  Object.values(row).reduce<number>((sum, value) => sum + (typeof value === "string" || isList(value) ? value.length : 8), 0)

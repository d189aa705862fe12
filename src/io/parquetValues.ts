/**
 * What is asked of decoded values, wherever they are decoded.
 *
 * @since 0.1.0
 */
import { isUtf8 } from "node:buffer"
import type { DecodedArray } from "hyparquet"
import type { RowGroup } from "./ParquetFile.ts"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

// hyparquet's own decoder replaces broken bytes and drops a leading byte order mark in silence.
export const stringFromBytes = (bytes: Uint8Array | undefined): string | undefined => {
  if (bytes === undefined) return undefined
  if (!isUtf8(bytes)) utf8.decode(bytes)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")
}

/** What is wrong with a decoded column, if anything: its length, or a value that points outside the dictionary. */
export const columnProblem = (values: DecodedArray, group: RowGroup, nested: boolean): string | undefined => {
  if (values.length !== group.rows) return `${values.length} values were found where ${group.rows} rows are promised`
  // In a flat column hyparquet decodes null as null; undefined is what it takes from beyond the end of a dictionary.
  const hole = !nested && Array.isArray(values) ? values.indexOf(undefined) : -1
  return hole < 0 ? undefined : `the value of row ${group.firstRow + hole} cannot be decoded`
}

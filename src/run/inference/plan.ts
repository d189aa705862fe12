/**
 * The plan of an inference: what decides its results, and its units of work, one for each row group.
 *
 * @since 0.1.0
 */
import type { InputFile, UnreadableFile } from "./inputs.ts"

/** One piece of work: a row group in, a part out. */
export interface Unit {
  /** Path of the part below the output folder, with `/`; names the unit. */
  readonly part: string
  /** {@link InputFile.name}; empty for `generate`. */
  readonly input: string
  readonly contentKey: string
  readonly rowGroup: number
  /** Row of the first one, counted from the start of the file. */
  readonly firstRow: number
  readonly rows: number
}

/** What an inference does, as its output folder keeps it. */
export interface Plan {
  /** Everything that decides what the parts hold, besides the files. */
  readonly configuration: Readonly<Record<string, unknown>>
  /** sha256 of {@link configuration}, hexadecimal. */
  readonly configurationHash: string
  readonly files: ReadonlyArray<InputFile>
  readonly unreadable: ReadonlyArray<UnreadableFile>
}

/** Rows of a part of `generate`. */
const rowsPerPart = 1024

/** Most texts that one `generate` writes into one folder: 65,536 parts. */
export const mostRows = 2 ** 16 * rowsPerPart

/** `x.00003.parquet` for row group 3 of `x.parquet`; two inputs never share a part. */
const partName = (input: string, rowGroup: number): string =>
  `${input.replace(/\.parquet$/, "")}.${String(rowGroup).padStart(5, "0")}.parquet`

const unitsOf = ({ contentKey, name, rowGroups }: InputFile): ReadonlyArray<Unit> => {
  let firstRow = 0
  return rowGroups.flatMap((rows, rowGroup) => {
    const unit = { part: partName(name, rowGroup), input: name, contentKey, rowGroup, firstRow, rows }
    firstRow += rows
    return rows > 0 ? [unit] : []
  })
}

/** The units of files, in the plan's order: files by path, row groups as they stand. */
const unitsOfFiles = (files: ReadonlyArray<InputFile>): ReadonlyArray<Unit> => files.flatMap(unitsOf)

/** The units of `rows` texts from noise. */
const unitsOfRows = (rows: number): ReadonlyArray<Unit> =>
  Array.from({ length: Math.ceil(rows / rowsPerPart) }, (_, i) => ({
    part: partName("generated", i),
    input: "",
    contentKey: "generate",
    rowGroup: i,
    firstRow: i * rowsPerPart,
    rows: Math.min(rowsPerPart, rows - i * rowsPerPart)
  }))

/** The units of a plan, in its order. */
export const unitsOfPlan = ({ configuration, files }: Plan): ReadonlyArray<Unit> =>
  configuration["task"] === "generate" ? unitsOfRows(Number(configuration["rows"])) : unitsOfFiles(files)

/**
 * What was passed over, beside the parts: a JSON object a line for each row, row group or file.
 *
 * @since 0.1.0
 */
import type { Effect } from "effect"
import { basename, dirname, join } from "node:path"
import { writeAtomically } from "../../io/atomicFile.ts"
import { attempt, type DiskError } from "../../io/Disk.ts"
import type { Problem } from "./events.ts"

/** `a/_x.00003.quarantine.jsonl` for the part (or input file) `a/x.00003.parquet`: readers of folders pass over it. */
export const quarantineName = (part: string): string => join(dirname(part), `_${basename(part, ".parquet")}.quarantine.jsonl`)

/** Writes the file of a part, or removes the one of an earlier attempt where there is nothing to say. */
export const writeQuarantine = (output: string, part: string, problems: ReadonlyArray<Problem>): Effect.Effect<void, DiskError> => {
  const path = join(output, quarantineName(part))
  if (problems.length === 0) return attempt("remove", path, (disk) => disk.remove(path))
  const lines = problems.map((problem) => `${JSON.stringify(problem)}\n`).join("")
  return writeAtomically(path, (error) => error, (file) => file.append(new TextEncoder().encode(lines)))
}

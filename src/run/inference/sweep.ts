/**
 * What killed processes had not finished in an output folder, put away.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { dirname, join } from "node:path"
import { removeLeft } from "../../io/temporaryName.ts"
import type { Unit } from "./plan.ts"
import { bookFolder } from "./planFile.ts"

/** Removes unfinished parts whose process is gone; those that a live process writes, here or on another machine, stay. */
export const sweep = (output: string, units: ReadonlyArray<Unit>): Effect.Effect<void> => {
  const folders = new Set([output, bookFolder(output), ...units.map(({ part }) => dirname(join(output, part)))])
  return Effect.forEach(folders, removeLeft, { discard: true })
}

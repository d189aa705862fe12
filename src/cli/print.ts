/**
 * Results on standard output: sentences for people, one JSON value for programs.
 */
import { Effect } from "effect"

/** Writes a line to standard output. */
export const print = (line: string): Effect.Effect<void> => Effect.sync(() => void process.stdout.write(`${line}\n`))

/** Writes `result` as JSON, or `lines` of it. */
export const printResult = <A>(asJson: boolean, result: A, lines: (result: A) => ReadonlyArray<string>): Effect.Effect<void> =>
  asJson ? print(JSON.stringify(result, null, 2)) : Effect.forEach(lines(result), print, { discard: true })

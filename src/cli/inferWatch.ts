/**
 * What `elf infer` shows as it goes: a line every two seconds for people, every event as a JSON line for programs.
 */
import { Clock, Effect } from "effect"
import type { InferenceEvent } from "../run/inference/events.ts"
import type { Share } from "../run/inference/run.ts"
import { withCollecting } from "./garbage.ts"
import { print } from "./print.ts"
import { duration, rateSince, readable, report } from "./progress.ts"

/** Where a process stands in its share. */
export interface Progress {
  /** Of this process, without those that were done before it began. */
  readonly rows: number
  readonly totalRows: number
  readonly rowGroups: number
  readonly totalRowGroups: number
  readonly rowsPerSecond: number
  /** Of the results. */
  readonly tokensPerSecond: number
  readonly secondsLeft: number | null
  /** Share of the encoder's positions that were padding, in [0, 1). */
  readonly padding: number
  /** Rows, row groups and files that were passed over. */
  readonly errors: number
}

const progressLine = (at: Progress): string =>
  [
    `rows ${readable(at.rows)}/${readable(at.totalRows)}`,
    `row groups ${at.rowGroups}/${at.totalRowGroups}`,
    `${readable(at.rowsPerSecond)} rows/s`,
    `${readable(at.tokensPerSecond)} tokens/s`,
    `ETA ${duration(at.secondsLeft ?? Infinity)}`,
    `padding ${(100 * at.padding).toFixed(1)} %`,
    ...(at.errors > 0 ? [`errors ${at.errors}`] : [])
  ].join("  ")

const interval = 2000

/** The sums behind {@link Progress}. */
const makeCounter = (share: Share, started: number) => {
  const totalRows = share.pending.reduce((sum, { rows }) => sum + rows, 0)
  const rate = rateSince(started, 0, totalRows)
  let [rows, failed, rowGroups, tokens, promptTokens, promptPositions, errors] = [0, 0, 0, 0, 0, 0, 0]
  return {
    count: (event: InferenceEvent): void => {
      if (event.type === "rows") {
        rows += event.rows
        tokens += event.tokens
        promptTokens += event.promptTokens
        promptPositions += event.promptPositions
      } else if (event.type === "problem") {
        errors++
        if (event.row !== undefined) failed++
      } else if (event.type === "unitFinished") {
        rowGroups++
        if (event.report.problem !== undefined) failed += event.report.rows
      }
    },
    at: (now: number): Progress => {
      const through = Math.min(totalRows, rows + failed)
      const { perSecond, secondsLeft } = rate(now, through)
      return {
        rows: through,
        totalRows,
        rowGroups,
        totalRowGroups: share.pending.length,
        rowsPerSecond: perSecond,
        tokensPerSecond: (tokens * 1000) / Math.max(1, now - started),
        secondsLeft: Number.isFinite(secondsLeft) ? secondsLeft : null,
        padding: promptPositions === 0 ? 0 : 1 - promptTokens / promptPositions,
        errors
      }
    }
  }
}

/** One event as a line of JSON. */
export const printEvent = (event: string, fields: object): Effect.Effect<void> => print(JSON.stringify({ event, ...fields }))

const asJson = (event: InferenceEvent): Effect.Effect<void> => {
  if (event.type === "rows") return Effect.void
  const { type, ...fields } = event
  return printEvent(type, type === "unitFinished" ? event.report : fields)
}

const place = ({ input, row, rowGroup }: { readonly input: string; readonly rowGroup?: number; readonly row?: number }): string =>
  [input, rowGroup === undefined ? undefined : `row group ${rowGroup}`, row === undefined ? undefined : `row ${row}`]
    .filter((part) => part !== undefined).join(", ")

/** Lines for the first problems; the summary counts them all. */
const shownProblems = 20

const inWords = (event: InferenceEvent, problems: number): Effect.Effect<void> => {
  if (event.type !== "problem" || problems > shownProblems) return Effect.void
  return report(problems === shownProblems ? "more is passed over, without a line for each" : `passed over: ${place(event)}: ${event.error}`)
}

/** What tells about a share that begins now. */
export const inferWatch = Effect.fnUntraced(function*(share: Share, json: boolean) {
  const started = yield* Clock.currentTimeMillis
  const counter = makeCounter(share, started)
  const show = (at: Progress) => json ? printEvent("progress", at) : report(progressLine(at))
  let shown = started
  const tell = yield* withCollecting((event) =>
    Effect.gen(function*() {
      counter.count(event)
      const now = yield* Clock.currentTimeMillis
      yield* json ? asJson(event) : inWords(event, counter.at(now).errors)
      if (now - shown < interval) return
      shown = now
      yield* show(counter.at(now))
    }))
  return { tell, last: Effect.flatMap(Clock.currentTimeMillis, (now) => show(counter.at(now))) }
})

/**
 * Progress lines of long work: on a terminal they overwrite each other, elsewhere they are lines.
 */
import { Effect } from "effect"

/** `3:05`, or `1:02:33` from an hour on. */
export const duration = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return "–"
  const whole = Math.round(seconds)
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const two = (value: number) => String(value).padStart(2, "0")
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}

/** What has been done since the start, and how long the rest takes at that rate. */
export interface Rate {
  /** Units a second. */
  readonly perSecond: number
  readonly secondsLeft: number
}

/** A clock for work of `total` units of which `done` were done before it started. */
export const rateSince = (started: number, done: number, total: number) => (now: number, finished: number): Rate => {
  const perSecond = ((finished - done) * 1000) / Math.max(1, now - started)
  return { perSecond, secondsLeft: perSecond > 0 ? (total - finished) / perSecond : Infinity }
}

/** Numbers for people: three or four significant digits, thousands with a comma. */
export const readable = (value: number): string =>
  Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(4)))

/** Writes a line to standard error: standard output is for results. */
export const report = (line: string): Effect.Effect<void> => Effect.sync(() => void process.stderr.write(`${line}\n`))

/** Wall-clock and processor time of repeated work. */
import { Clock, Effect } from "effect"

/** Seconds of several repetitions. */
export interface Timing {
  readonly min_s: number
  readonly median_s: number
  readonly max_s: number
  /** Steps differ in how many rows go which way, so their mean is what a run sees. */
  readonly mean_s: number
  readonly reps: number
  readonly all_s: ReadonlyArray<number>
  /** Processor seconds a second of wall clock, over all repetitions. */
  readonly cpu_over_wall: number
}

const rounded = (seconds: number): number => Math.round(seconds * 1e4) / 1e4

const processorSeconds = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1e6
}

/** Summary of wall-clock `seconds` that took `processor` seconds of processor time in all. */
export const summary = (seconds: ReadonlyArray<number>, processor: number): Timing => {
  const sorted = [...seconds].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const median = sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return {
    min_s: rounded(sorted[0]!),
    median_s: rounded(median),
    max_s: rounded(sorted.at(-1)!),
    mean_s: rounded(seconds.reduce((a, b) => a + b, 0) / seconds.length),
    reps: seconds.length,
    all_s: seconds.map(rounded),
    cpu_over_wall: rounded(processor / seconds.reduce((a, b) => a + b, 0))
  }
}

const now = Effect.map(Clock.currentTimeNanos, (nanoseconds) => Number(nanoseconds) / 1e9)

/** Runs `work` once to warm up, then `repetitions` times. */
export const timed = Effect.fnUntraced(function*<E, R>(work: Effect.Effect<unknown, E, R>, repetitions: number, warmUp = 1) {
  for (let i = 0; i < warmUp; i++) yield* work
  const seconds: Array<number> = []
  const before = processorSeconds()
  for (let i = 0; i < repetitions; i++) {
    const start = yield* now
    yield* work
    seconds.push((yield* now) - start)
  }
  return summary(seconds, processorSeconds() - before)
})

/**
 * What `elf eval` shows as it goes: what is done, how fast, and how long the rest takes.
 */
import { Clock, Effect } from "effect"
import type * as Evaluation from "../run/evaluation/index.ts"
import { duration, rateSince, readable, report } from "./progress.ts"

const interval = 2000

/** Counts towards a total and says every two seconds where it stands; the last unit is always said. */
const counter = (label: string, unit: string, total: number, started: number) => {
  const rate = rateSince(started, 0, total)
  let done = 0
  let shown = started
  return (by: number, more = "") =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      done += by
      if (now - shown < interval && done < total) return Effect.void
      shown = now
      const { perSecond, secondsLeft } = rate(now, done)
      return report([`${label}${more}`, `${unit} ${readable(done)}/${readable(total)}`, `${readable(perSecond)} ${unit}/s`, `ETA ${duration(secondsLeft)}`].join("  "))
    })
}

type Count = ReturnType<typeof counter>

const silent: Count = () => Effect.void

/** What tells about one evaluation. The time that is left is reckoned in steps of a text: a point of many steps takes longer. */
export const evalWatch = Effect.sync((): Evaluation.Tell => {
  let write = silent
  let judge = silent
  let [points, at, corpusShown] = [0, "", 0]
  return (event) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      switch (event.type) {
        case "planned":
          points = event.points
          write = counter("writing", "steps", event.work, now)
          return yield* report(`${readable(event.points)} points, ${readable(event.texts)} texts${event.known > 0 ? `, ${readable(event.known)} of them written before` : ""}`)
        case "point":
          at = ` point ${event.index + 1}/${points}, ${event.name}`
          return
        case "written":
          return yield* write(event.work, at)
        case "corpus":
          if (now - corpusShown < interval) return
          corpusShown = now
          return yield* report(`counting the corpus: ${readable(event.tokens)} tokens`)
        case "judging":
          judge = counter("judging", "texts", event.texts, now)
          return yield* report(`scorer: ${event.scorer}`)
        case "judged":
          return yield* judge(event.texts)
      }
    })
})

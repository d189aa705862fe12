/** Three runners, and somebody who takes them away. */
import { setTimeout as sleep } from "node:timers/promises"
import type { RunnerProcess } from "./runnerProcess.ts"

export type Blow = "SIGKILL" | "SIGINT" | "SIGSTOP"

/** A blow and what came of it. */
export interface Struck {
  readonly blow: Blow
  readonly part: string
  /**
   * When another runner began the same unit, milliseconds after the blow; undefined where its part was in place just before,
   * or where another runner had it in hand already, since the one that was struck had been frozen.
   */
  readonly takenOverAfter: number | undefined
  /** Whether this process itself stood still meanwhile, so that the time says nothing. */
  readonly stalled: boolean
}

/** Waits until `find` finds something. Wakes every 20 ms; `stalled` when a wake came late. */
const until = async <A>(find: () => A | undefined, limitMillis: number, what: string): Promise<{ readonly found: A; readonly stalled: boolean }> => {
  const start = performance.now()
  let [last, stalled] = [start, false]
  while (true) {
    const found = find()
    if (found !== undefined) return { found, stalled }
    await sleep(20)
    const now = performance.now()
    stalled ||= now - last > 500
    last = now
    if (now - start > limitMillis) throw new Error(`waited ${limitMillis} ms for ${what}`)
  }
}

export interface Pool {
  readonly runners: ReadonlyArray<RunnerProcess>
  /** Strikes a runner with a unit in hand, which `choose` picks; undefined when the job is over. */
  readonly strike: (blow: Blow, choose: (count: number) => number) => Promise<Struck | undefined>
  readonly stopAll: () => void
}

/** A frozen runner is woken this long after its unit was taken over. */
const frozenFor = 1500

/** Long enough for a blow to arrive. */
const blowTakes = 100

/** Starts `size` runners; every one that dies is replaced. `isPublished` tells whether a part is in place and in the manifest. */
export const startPool = (size: number, start: () => RunnerProcess, isPublished: (part: string) => boolean): Pool => {
  const runners = Array.from({ length: size }, start)
  const alive = () => runners.filter((runner) => runner.isAlive())
  const isOver = () => runners.some(({ events }) => events.some(({ event }) => event === "summary"))
  const takeOver = (struck: RunnerProcess, part: string, at: number) => {
    const begun = runners.filter((runner) => runner !== struck).flatMap(({ events }) => events).find((event) => event.event === "unitStarted" && event.part === part && event.at >= at)
    return begun?.at
  }
  return {
    runners,
    strike: async (blow, choose) => {
      const { found: busy } = await until(() => {
        const busy = alive().filter((runner) => runner.inHand() !== undefined)
        return busy.length > 0 || isOver() ? busy : undefined
      }, 60_000, "a runner with a unit in hand")
      if (busy.length === 0 || isOver()) return undefined
      const runner = busy[choose(busy.length)]!
      const part = runner.inHand()!
      const at = Date.now()
      runner.child.kill(blow)
      if (blow !== "SIGSTOP") runners.push(start())
      await (blow === "SIGKILL" ? runner.ended : sleep(blowTakes))
      // A unit that was published in the moment of the blow is not begun again, only looked at.
      if (isPublished(part) || alive().some((other) => other !== runner && other.allInHand().includes(part))) {
        if (blow === "SIGSTOP") runner.child.kill("SIGCONT")
        return { blow, part, takenOverAfter: undefined, stalled: false }
      }
      const { found, stalled } = await until(() => takeOver(runner, part, at) ?? (isOver() ? -1 : undefined), 120_000, `another runner to take over ${part}`)
      if (blow === "SIGSTOP") {
        await sleep(frozenFor)
        runner.child.kill("SIGCONT")
      }
      return found === -1 ? undefined : { blow, part, takenOverAfter: found - at, stalled }
    },
    stopAll: () => {
      for (const { child } of alive()) child.kill("SIGKILL")
    }
  }
}

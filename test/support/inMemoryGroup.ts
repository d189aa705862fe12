/** A group of processes that are fibers of one: their sums without a network. */
import { Effect } from "effect"
import type { CollectiveFields } from "../../src/model/Collective.ts"

type Numbers = Float32Array | Int32Array

/** One service for each of `size` members. A sum of arrays of different lengths is a defect. */
export const inMemoryGroup = (size: number): ReadonlyArray<CollectiveFields> => {
  let waiting: Array<{ readonly array: Numbers; readonly go: (effect: Effect.Effect<void>) => void }> = []
  const finish = () => {
    const round = waiting
    waiting = []
    const alike = round.every(({ array }) => array.length === round[0]!.array.length && array.constructor === round[0]!.array.constructor)
    const total = round[0]!.array.map((_, i) => round.reduce((sum, { array }) => sum + array[i]!, 0))
    for (const { array, go } of round) {
      array.set(total)
      go(alike ? Effect.void : Effect.die(new Error("members add up different things")))
    }
  }
  return Array.from({ length: size }, (_, rank) => ({
    rank,
    size,
    sum: (array) => Effect.callback<void>((go) => {
      waiting.push({ array, go })
      if (waiting.length === size) finish()
    })
  }))
}

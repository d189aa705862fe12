/**
 * Pairs into training, validation and test, so that nothing of one is known from another.
 */
import { createHash } from "node:crypto"
import type { Pair } from "./Pair.ts"

/** The three parts of a task's pairs. */
export interface Split {
  readonly train: ReadonlyArray<Pair>
  readonly validation: ReadonlyArray<Pair>
  readonly test: ReadonlyArray<Pair>
}

/** How large the held-out parts are to be, in pairs. */
export interface SplitSizes {
  readonly validation: number
  readonly test: number
  /** Groups of more pairs than this are trained on: one of them would be most of a held-out part. */
  readonly largestGroup: number
}

/** For each pair the group that it belongs to: pairs that share a family, directly or through others. */
const groupsOf = (pairs: ReadonlyArray<Pair>): ReadonlyArray<ReadonlyArray<Pair>> => {
  const parents = Array.from(pairs.keys())
  const root = (index: number): number => {
    let at = index
    while (parents[at] !== at) at = parents[at] = parents[parents[at]!]!
    return at
  }
  const owners = new Map<string, number>()
  pairs.forEach(({ families }, index) => {
    for (const family of families) {
      const owner = owners.get(family)
      if (owner === undefined) owners.set(family, index)
      else parents[root(index)] = root(owner)
    }
  })
  return Array.from(Map.groupBy(pairs.map((pair, index) => [root(index), pair] as const), ([group]) => group).values(), (group) => group.map(([, pair]) => pair))
}

/** A number that only a group's texts decide. */
const rank = (group: ReadonlyArray<Pair>): string =>
  createHash("sha256").update(group.map(({ input, output }) => `${input}\n${output}`).sort()[0]!).digest("hex")

/**
 * Splits by groups of pairs that share a family. Every pair is in exactly one part, no family is in two, and the parts
 * depend on the texts alone, not on their order.
 */
export const split = (pairs: ReadonlyArray<Pair>, { largestGroup, test, validation }: SplitSizes): Split => {
  const groups = groupsOf(pairs).map((group) => ({ group, rank: rank(group) })).sort((a, b) => a.rank < b.rank ? -1 : 1)
  const parts = { train: [] as Array<Pair>, validation: [] as Array<Pair>, test: [] as Array<Pair> }
  for (const { group } of groups) {
    const small = group.length <= largestGroup
    const part = small && parts.test.length + group.length <= test ? parts.test
      : small && parts.validation.length + group.length <= validation ? parts.validation
      : parts.train
    part.push(...group)
  }
  return parts
}

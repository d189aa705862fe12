/** Bridges fast-check and Effect: `@effect/vitest` 4 does not know fast-check's arbitraries. */
import { Effect } from "effect"
import fc from "fast-check"

/** Checks an effectful property; fails with fast-check's report of the smallest counterexample. */
export const check = <T extends [unknown, ...Array<unknown>], E>(
  arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
  property: (...values: T) => Effect.Effect<void, E>,
  parameters?: fc.Parameters<T>
): Effect.Effect<void> =>
  Effect.promise((signal) =>
    fc.assert(
      fc.asyncProperty<T>(...arbitraries, (...values) => Effect.runPromise(property(...values), { signal })),
      parameters
    )
  )

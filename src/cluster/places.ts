/**
 * The places in which a runner does units: as many as were asked for, and as many again for what lost runners leave behind.
 *
 * **Details** A unit may take minutes. If a lost runner's unit had to wait for one of them to end, it would not move on within
 * seconds. So while all places are taken, units that nobody has any more are begun beside them, and share the processor; a
 * fresh one is begun when there are no more units in hand than places again.
 *
 * @since 0.1.0
 */
import { Effect, Fiber, Latch } from "effect"
import type { SqlError } from "effect/sql"
import { isPassing } from "./databaseLoss.ts"
import { type Outcome, takeUnit } from "./rowGroups.ts"

/** What the places of a runner need to know. */
export interface PlacesOptions<R> {
  readonly generation: number
  /** Places for any unit; as many may be added for units that were begun before. */
  readonly places: number
  /** Does a unit. */
  readonly work: (unit: number) => Effect.Effect<Outcome, never, R>
  /** How many units were begun and are in nobody's hand. */
  readonly orphans: Effect.Effect<number, SqlError.SqlError>
  readonly wasBegun: (unit: number) => Effect.Effect<boolean>
}

/** Between two looks at what lost runners left behind. Free places, here or elsewhere, take it before the second look. */
const lookEvery = "400 millis"

const pauseAfterFailure = "500 millis"

/** Units in hand, and whether there is room for one that nobody has begun yet. */
const makeHands = (places: number) => {
  const room = Latch.makeUnsafe(true)
  let inHand = 0
  const count = (change: number) => {
    inHand += change
    if (inHand < places) room.openUnsafe()
    else room.closeUnsafe()
  }
  return {
    room: room.await,
    inHand: () => inHand,
    hold: <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.acquireUseRelease(Effect.sync(() => count(1)), () => effect, () => Effect.sync(() => count(-1)))
  }
}

/** Takes units and does them, until it is interrupted or what it asks of the database is refused. */
export const workInPlaces = <R>({ generation, orphans, places, wasBegun, work }: PlacesOptions<R>) =>
  Effect.gen(function*() {
    const hands = makeHands(places)
    const place = Effect.andThen(hands.room, takeUnit(generation, (unit) => hands.hold(work(unit)))).pipe(
      Effect.catchCause(() => Effect.sleep(pauseAfterFailure)),
      Effect.forever
    )

    // What it takes is the oldest unit; if another runner was quicker that is a fresh one, which goes back.
    let waiting = 0
    const addedPlace = Effect.suspend(() => {
      let isWaiting = true
      const stopWaiting = () => {
        if (isWaiting) waiting--
        isWaiting = false
      }
      return takeUnit(generation, (unit) => {
        stopWaiting()
        return Effect.flatMap(wasBegun(unit), (begun) => begun ? hands.hold(work(unit)) : Effect.interrupt)
      }).pipe(Effect.exit, Effect.ensuring(Effect.sync(stopWaiting)))
    })

    const addPlaces = Effect.gen(function*() {
      let before = 0
      while (true) {
        yield* Effect.sleep(lookEvery)
        const found = hands.inHand() < places ? 0 : yield* Effect.catchIf(orphans, isPassing, () => Effect.succeed(0))
        const wanted = Math.max(0, Math.min(before, found, 2 * places - hands.inHand() - waiting))
        waiting += wanted
        for (let i = 0; i < wanted; i++) yield* Effect.forkScoped(addedPlace)
        before = wanted > 0 ? 0 : found
      }
    })

    const fibers = [yield* Effect.forkScoped(addPlaces)]
    for (let i = 0; i < places; i++) fibers.push(yield* Effect.forkScoped(place))
    yield* Fiber.joinAll(fibers)
    return yield* Effect.never
  })

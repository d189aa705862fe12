import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Layer, Queue, Schedule, Schema } from "effect"
import { SqlClient } from "effect/sql"
import * as Database from "../../src/cluster/Database.ts"
import { ClusterError, type ClusterJob, type DatabaseEvent, forget, jobs, type JobWatch, runJob, UnitFailedError } from "../../src/cluster/index.ts"
import * as Journal from "../../src/cluster/Journal.ts"
import { withSetUp } from "../../src/cluster/runner.ts"
import { postgres, requirePostgres } from "./postgres.ts"

class PassingError extends Schema.TaggedError<PassingError>()("PassingError", {}) {}

const Report = Schema.Struct({ unit: Schema.Int })
type TestJob<E> = ClusterJob<typeof Report.Type, E, never>

const job = <E = never>(key: string, change: Partial<TestJob<E>> = {}): TestJob<E> => ({
  key,
  description: key,
  units: ["first", "second", "third", "fourth"],
  run: (unit) => Effect.succeed({ unit }),
  report: Report,
  isTransient: () => false,
  isPublished: Effect.succeed(true),
  stopOnFailure: true,
  ...change
})

const lostAfter = Duration.seconds(5)
const silent: JobWatch = { progress: () => Effect.void, database: () => Effect.void }
const take = <E>(database: string, of: TestJob<E>) => runJob(of, { database, concurrency: 1, lostAfter }, silent)

const failureOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? Cause.squash(exit.cause) : assert.fail("it succeeded"))

describe("a job's database", () => {
  it.effect("is refused in one sentence, without the password", () =>
    Effect.gen(function*() {
      for (const url of ["nonsense", "mysql://u:secret@host/db", "postgres://u:secret@host"]) {
        const error = yield* failureOf(take(url, job("refused")))
        assert.instanceOf(error, ClusterError)
        assert.include(error.message, "--cluster")
        assert.notInclude(error.message, "secret")
      }
    }))

  it.live("that does not answer is named", () =>
    Effect.gen(function*() {
      const error = yield* failureOf(take("postgres://u:secret@127.0.0.1:9/db", job("away")))
      assert.instanceOf(error, ClusterError)
      assert.strictEqual(error.reason, "connection")
      assert.include(error.message, "127.0.0.1:9/db")
      assert.notInclude(error.message, "secret")
    }))
})

describe.runIf(requirePostgres())("a job", () => {
  it.live("is shared, tried again, stopped, begun again and forgotten", () =>
    Effect.scoped(Effect.gen(function*() {
      const { url } = yield* postgres

      // Two runners: each unit once, both say the same.
      const began: Array<number> = []
      const shared = job("shared", { run: (unit) => Effect.delay(Effect.sync(() => {
        began.push(unit)
        return { unit }
      }), "50 millis") })
      const [one, other] = yield* Effect.all([take(url, shared), take(url, shared)], { concurrency: 2 })
      assert.deepStrictEqual(one.reports, [{ unit: 0 }, { unit: 1 }, { unit: 2 }, { unit: 3 }])
      assert.deepStrictEqual(other.reports, one.reports)
      assert.strictEqual(one.doneHere + other.doneHere, 4)
      assert.deepStrictEqual(began.toSorted(), [0, 1, 2, 3])

      // A job that is done is not done again, unless what it published is gone.
      yield* take(url, shared)
      assert.strictEqual(began.length, 4)
      yield* take(url, { ...shared, isPublished: Effect.succeed(false) })
      assert.strictEqual(began.length, 8)

      // An error that passes is waited out; one that stays ends the job, and the next run tries again.
      let tries = 0
      const passing = yield* take(url, job<PassingError>("passing", {
        units: ["only"],
        isTransient: () => true,
        run: (unit) => Effect.suspend(() => ++tries < 3 ? Effect.fail(new PassingError()) : Effect.succeed({ unit }))
      }))
      assert.deepStrictEqual([tries, passing.reports.length], [3, 1])
      let broken = true
      const failing = job<Error>("failing", { run: (unit) => Effect.suspend(() => unit === 2 && broken ? Effect.fail(new Error("no such rows")) : Effect.succeed({ unit })) })
      const error = yield* failureOf(take(url, failing))
      assert.instanceOf(error, UnitFailedError)
      assert.include(error.message, "third")
      assert.include(error.message, "no such rows")
      const skipped = yield* take(url, { ...failing, key: "skipping", stopOnFailure: false })
      assert.deepStrictEqual(skipped.failed, [{ unit: "third", detail: "no such rows" }])
      assert.strictEqual(skipped.reports.length, 3)
      broken = false
      assert.strictEqual((yield* take(url, failing)).reports.length, 4)

      // A unit that five runners were lost with is not tried again.
      const database = yield* Database.parse(url)
      yield* withSetUp("elf_poison", { lostAfter }, Journal.joinGeneration({ description: "poison", units: 4 }, Effect.succeed(true))).pipe(
        Effect.andThen(Effect.forEach(["a", "b", "c", "d", "e"], (victim) => Effect.flatMap(Journal.open(1, victim), (journal) => journal.begin(1)))),
        Effect.provide(Layer.fresh(Database.layer(database, "elf_poison")))
      )
      const poison = yield* take(url, job("poison", { stopOnFailure: false }))
      assert.deepStrictEqual(poison.failed.map(({ unit }) => unit), ["second"])
      assert.include(poison.failed[0]!.detail, "5 runners were lost")

      const found = yield* jobs(url)
      assert.deepStrictEqual(found.map(({ generation, schema, state }) => [schema, state, generation]), [
        ["elf_failing", "done", 2], ["elf_passing", "done", 1], ["elf_poison", "done", 1], ["elf_shared", "done", 2], ["elf_skipping", "done", 1]
      ])
      yield* forget(url, "elf_shared")
      assert.strictEqual((yield* jobs(url)).length, 4)
      assert.include(String(yield* failureOf(forget(url, "public"))), "no such job")
    })), 90_000)

  it.live("begins what lost runners leave behind beside its own units, and nothing else", () =>
    Effect.scoped(Effect.gen(function*() {
      const { url } = yield* postgres
      const place = Database.layer(yield* Database.parse(url), "elf_busy")
      const onDatabase = <A, E>(run: Effect.Effect<A, E, SqlClient.SqlClient>) => Effect.provide(run, Layer.fresh(place))
      const [began, mayEnd] = [yield* Queue.unbounded<number>(), yield* Deferred.make<void>()]
      const busy = job("busy", { run: (unit) => Queue.offer(began, unit).pipe(Effect.andThen(Deferred.await(mayEnd)), Effect.as({ unit })) })
      const runner = yield* Effect.forkScoped(runJob(busy, { database: url, concurrency: 1, lostAfter: Duration.seconds(2) }, silent))
      const own = yield* Queue.take(began)

      // A runner that nobody heard of again had the oldest of the other units in hand.
      const left = yield* onDatabase(Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const all = sql<{ count: number }>`SELECT count(*)::int AS count FROM elf_busy_queue`
        yield* Effect.repeat(all, { until: ([row]) => row!.count === 4, schedule: Schedule.spaced("100 millis") })
        const [oldest] = yield* sql<{ id: string }>`
          UPDATE elf_busy_queue SET attempts = 1, acquired_at = now(), acquired_by = gen_random_uuid()
          WHERE sequence = (SELECT sequence FROM elf_busy_queue WHERE attempts = 0 ORDER BY visible_at, sequence LIMIT 1) RETURNING id`
        const unit = Number(oldest!.id.replace("1/", ""))
        yield* (yield* Journal.open(1, "lost")).begin(unit)
        return unit
      }))
      assert.strictEqual(yield* Queue.take(began), left)

      // Another one was interrupted and gave its unit back.
      const released = [0, 1, 2, 3].find((unit) => unit !== own && unit !== left)!
      yield* onDatabase(Effect.gen(function*() {
        const journal = yield* Journal.open(1, "interrupted")
        yield* journal.begin(released)
        assert.strictEqual(yield* Queue.size(began), 0)
        yield* Effect.sleep("2 seconds")
      }))
      assert.strictEqual(yield* Queue.size(began), 0, "one unit more than twice its places")
      yield* Deferred.succeed(mayEnd, undefined)
      assert.strictEqual((yield* Fiber.join(runner)).reports.length, 4)
    })), 60_000)

  it.live("lives through a database that crashes and comes back, and ends in one sentence when it stays away", () =>
    Effect.scoped(Effect.gen(function*() {
      const { restart, stop, url } = yield* postgres
      const told: Array<DatabaseEvent["state"]> = []
      const began: Array<number> = []
      const units = Array.from({ length: 6 }, (_, i) => `unit ${i}`)
      const lasting = job("lasting", { units, run: (unit) => Effect.sync(() => began.push(unit)).pipe(Effect.andThen(Effect.sleep("400 millis")), Effect.as({ unit })) })
      const watch: JobWatch = { progress: () => Effect.void, database: ({ state }) => Effect.sync(() => void told.push(state)) }
      const runner = yield* Effect.forkScoped(runJob(lasting, { database: url, concurrency: 1, lostAfter }, watch))
      yield* Effect.repeat(Effect.sleep("50 millis"), { until: () => began.length > 1 })
      yield* Effect.promise(() => restart(1500))
      assert.deepStrictEqual((yield* Fiber.join(runner)).reports.map(({ unit }) => unit), units.map((_, i) => i))
      assert.includeMembers(told, ["away", "back"])

      const endless = job("endless", { run: () => Effect.andThen(Effect.sync(() => began.push(0)), Effect.never) })
      began.length = 0
      const other = yield* Effect.forkScoped(Effect.exit(runJob(endless, { database: url, concurrency: 1, lostAfter: Duration.seconds(1), patience: Duration.seconds(1) }, watch)))
      yield* Effect.repeat(Effect.sleep("50 millis"), { until: () => began.length > 0 })
      yield* Effect.promise(stop)
      const exit = yield* Fiber.join(other)
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(error, ClusterError)
      assert.strictEqual(error.reason, "connection")
    })), 90_000)
})

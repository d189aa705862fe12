/**
 * The durable part of a job: a workflow for the job, a workflow for each of its units, and the queue that deals units to runners.
 *
 * **Details** Effect's workflow engine runs all steps of one workflow on the runner that owns its shard. A job of one workflow
 * would run on one machine; units dealt by their shard would be interrupted whenever a machine joins, and a slow machine would
 * keep its share. So a unit's workflow lives where its shard is and costs nothing, and its one long step is dealt by a durable
 * queue to whichever runner is free.
 *
 * @since 0.1.0
 */
import { Cause, Effect, Layer, Schedule, Schema } from "effect"
import { PersistedQueue } from "effect/persistence"
import { DurableDeferred, Workflow } from "effect/workflow"

/** How a unit ended: with a report, or for good without one. */
export const Outcome = Schema.Struct({
  state: Schema.Literals(["done", "failed"]),
  /** The runner that did it. */
  runner: Schema.String,
  /** The report as JSON, or why there is none. */
  detail: Schema.String
})

/** How a unit ended. */
export type Outcome = typeof Outcome.Type

const UnitKey = { generation: Schema.Int, unit: Schema.Int }

/** Names the queue's entry of a unit, and its workflow. */
const keyOf = ({ generation, unit }: { readonly generation: number; readonly unit: number }): string => `${generation}/${unit}`

/** One unit of work, from dealt to done. A defect is the database's, and passes: the workflow begins again. */
export const Unit = Workflow.make("Unit", { payload: UnitKey, idempotencyKey: keyOf, success: Outcome }).annotate(Workflow.CaptureDefects, false)

/** Hands all units of a generation in, once, whichever runner it is that does it. */
export const Job = Workflow.make("Job", {
  payload: { generation: Schema.Int, units: Schema.Int },
  idempotencyKey: ({ generation }) => String(generation)
}).annotate(Workflow.CaptureDefects, false)

const outcome = DurableDeferred.make("outcome", { success: Outcome })

/** Times that a unit may be taken: the journal knows when it is enough. */
const attempts = 1_000_000

/** The queue of a generation, in the database of this runner. */
const queueOf = (generation: number) =>
  PersistedQueue.make({
    name: `generation-${generation}`,
    schema: Schema.Struct({ token: DurableDeferred.Token, ...UnitKey }),
    maxAttempts: attempts,
    retrySchedule: Schedule.spaced("1 second")
  })

const unitLayer = Unit.toLayer(Effect.fnUntraced(function*(payload) {
  const queue = yield* queueOf(payload.generation)
  const token = yield* DurableDeferred.token(outcome)
  yield* Effect.orDie(queue.offer({ token, ...payload }, { id: keyOf(payload) }))
  return yield* DurableDeferred.await(outcome)
}))

/** Units that are handed in at once. */
const handedIn = 8

const jobLayer = Job.toLayer(({ generation, units }) =>
  Effect.forEach(
    Array.from({ length: units }, (_, unit) => unit),
    (unit) => Unit.execute({ generation, unit }, { discard: true, detached: true }),
    { concurrency: handedIn, discard: true }
  )
)

/** Both workflows, ready to run here. */
export const workflowLayer = Layer.mergeAll(unitLayer, jobLayer)

/** Whatever failed but for an interruption is tried again every second. */
const untilDone = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Effect.sandbox,
    Effect.retry({ while: (cause) => !Cause.hasInterrupts(cause), schedule: Schedule.spaced("1 second") }),
    Effect.catch((cause) => Effect.failCause(cause))
  )

/**
 * Waits for a unit, has `work` do it, and hands its outcome to the unit's workflow. Interrupted, it gives the unit back; lost
 * with its process, the unit is dealt again, before all that nobody has had yet.
 */
export const takeUnit = <R>(generation: number, work: (unit: number) => Effect.Effect<Outcome, never, R>) =>
  Effect.flatMap(queueOf(generation), (queue) =>
    queue.take(({ token, unit }) =>
      Effect.flatMap(work(unit), (value) => untilDone(DurableDeferred.succeed(outcome, { token, value })))))

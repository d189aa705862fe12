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
import { Effect, Layer, Schema } from "effect"
import { DurableQueue, Workflow } from "effect/workflow"

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

const keyOf = ({ generation, unit }: { readonly generation: number; readonly unit: number }): string => `${generation}/${unit}`

/** The queue of one generation. A runner takes a unit from it, and gives its outcome back or is lost with it. */
export const queueOf = (generation: number) =>
  DurableQueue.make({ name: `generation-${generation}`, payload: UnitKey, idempotencyKey: keyOf, success: Outcome })

/** One unit of work, from dealt to done. */
export const Unit = Workflow.make("Unit", { payload: UnitKey, idempotencyKey: keyOf, success: Outcome })

/** Hands all units of a generation in, once, whichever runner it is that does it. */
export const Job = Workflow.make("Job", {
  payload: { generation: Schema.Int, units: Schema.Int },
  idempotencyKey: ({ generation }) => String(generation)
})

const unitLayer = Unit.toLayer((payload) => DurableQueue.process(queueOf(payload.generation), payload))

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

/**
 * `elf infer --cluster`: this process as one of a pool; and `elf jobs`, which looks at the pool from outside.
 */
import { Clock, Duration, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { ClusterSummary, DatabaseEvent, JobProgress, JobStatus, RunnerOptions } from "../cluster/index.ts"
import type * as Inference from "../run/inference/index.ts"
import { withCollecting } from "./garbage.ts"
import { printEvent } from "./inferWatch.ts"
import { json, requireOption } from "./options.ts"
import { print, printResult } from "./print.ts"
import { duration, rateSince, readable, report } from "./progress.ts"

/** Nothing else needs the cluster's code: it is loaded where it is asked for. */
const loadCluster = Effect.promise(() => import("../cluster/index.ts"))

/** The options of a process in a pool. */
export const clusterFlags = {
  cluster: Flag.String("cluster").pipe(Flag.withDescription("postgres://user@host:5432/database: share the work with every process that runs this command; the password may be in PGPASSWORD"), Flag.optional),
  concurrency: Flag.Int("concurrency").pipe(Flag.withDescription("Row groups at once; as many again are begun beside them where lost processes left some (--cluster)"), Flag.withDefault(1)),
  lostAfter: Flag.Finite("lost-after").pipe(Flag.withDescription("Seconds of silence after which a process is taken for lost; longer than one batch takes for a time step (--cluster)"), Flag.withDefault(5))
}

/** What was asked for. */
export interface ClusterChoice {
  readonly database: string
  readonly concurrency: number
  readonly lostAfter: number
}

const runnerOptions = ({ concurrency, database, lostAfter }: ClusterChoice): RunnerOptions => ({ database, concurrency, lostAfter: Duration.seconds(lostAfter) })

/** The choice in its ranges. */
export const checkCluster = ({ concurrency, lostAfter }: Omit<ClusterChoice, "database">) =>
  Effect.andThen(
    requireOption(concurrency >= 1, "concurrency", "at least 1", concurrency),
    requireOption(lostAfter >= 1, "lost-after", "at least 1", lostAfter)
  )

const interval = 2000

const progressLine = ({ done, failed, runners, running, total }: JobProgress, secondsLeft: number): string =>
  [
    `row groups ${done + failed}/${total}`,
    `${running} in hand on ${runners} runners`,
    `ETA ${duration(secondsLeft)}`,
    ...(failed > 0 ? [`failed ${failed}`] : [])
  ].join("  ")

/** Tells where the whole job stands, every two seconds. */
const jobWatch = Effect.fnUntraced(function*(json: boolean) {
  const started = yield* Clock.currentTimeMillis
  let shown = 0
  let rate: ReturnType<typeof rateSince> | undefined
  return (progress: JobProgress) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const over = progress.done + progress.failed
      rate ??= rateSince(started, over, progress.total)
      if (now - shown < interval && over < progress.total) return
      shown = now
      yield* json ? printEvent("job", progress) : report(progressLine(progress, rate(now, over).secondsLeft))
    })
})

const databaseLine = (event: DatabaseEvent): string =>
  event.state === "away"
    ? `${event.place}: ${event.detail}. It is waited for, up to ${duration(event.seconds)}; nothing is lost`
    : `${event.place} answers again, after ${duration(event.seconds)}`

/** Tells that the database went away, or came back. */
const databaseWatch = (json: boolean) => (event: DatabaseEvent): Effect.Effect<void> =>
  json ? Effect.andThen(printEvent("database", event), report(databaseLine(event))) : report(databaseLine(event))

/** Tells what happens to the units of this process. */
const unitWatch = (json: boolean): Inference.Tell => (event) => {
  if (event.type === "rows") return Effect.void
  const { type, ...fields } = event
  if (json) return printEvent(type, event.type === "unitFinished" ? event.report : fields)
  return event.type === "problem" ? report(`passed over: ${event.part ?? event.input}${event.row === undefined ? "" : `, row ${event.row}`}: ${event.error}`) : Effect.void
}

const failedLines = ({ failed, failedRows, passedOver }: ClusterSummary): ReadonlyArray<string> => [
  ...(failedRows > 0 || passedOver.length > 0 ? [`without a result: ${readable(failedRows)} rows; passed over: ${passedOver.length} row groups and files`] : []),
  ...failed.map(({ detail, unit }) => `failed: ${unit}: ${detail}`)
]

const summaryLines = (summary: ClusterSummary, output: string): ReadonlyArray<string> => {
  const { doneHere, failed, padding, rows, schema, seconds, tokens, total } = summary
  const missing = failed.length + summary.passedOver.filter(({ rowGroup }) => rowGroup !== undefined).length
  return [
    `${readable(rows)} rows, ${readable(tokens)} tokens, padding ${(100 * padding).toFixed(1)} %; ${doneHere} of ${total} row groups here in ${duration(seconds)}`,
    ...failedLines(summary),
    missing === 0 ? `${output} is complete: ${total} parts` : `${output}: ${total - missing} of ${total} parts are done`,
    `the state of the job is in schema ${schema}: elf jobs URL --forget ${schema}`
  ]
}

/** Takes part in an inference until it is done. `layer` of the inference must be provided. */
export const inferHere = Effect.fnUntraced(function*(inference: Inference.Inference, choice: ClusterChoice, asJson: boolean) {
  const { inferOnCluster } = yield* loadCluster
  const { output } = inference.request
  const summary = yield* inferOnCluster(inference, runnerOptions(choice), {
    tell: yield* withCollecting(unitWatch(asJson)),
    progress: yield* jobWatch(asJson),
    database: databaseWatch(asJson)
  })
  yield* asJson ? printEvent("summary", { ...summary, output }) : Effect.forEach(summaryLines(summary, output), print, { discard: true })
})

const jobLines = ({ description, done, failed, generation, inHand, lost, schema, started, state, total }: JobStatus): ReadonlyArray<string> => [
  `${schema}  ${state}  ${done}/${total} row groups  ${description}`,
  `  since ${started.toISOString()}${generation > 1 ? `, begun ${generation} times` : ""}${failed > 0 ? `, ${failed} failed` : ""}${lost > 0 ? `, ${lost} lost with their runner and dealt again` : ""}`,
  ...inHand.map(({ runner, seconds, starts, unit }) => `  ${runner}  row group ${unit} for ${duration(seconds)}${starts > 1 ? `, begun ${starts} times` : ""}`)
]

/** The command. */
export const jobsCommand = Command.make("jobs", {
  database: Argument.String("database").pipe(Argument.withDescription("The URL given to elf infer --cluster")),
  forget: Flag.String("forget").pipe(Flag.withDescription("Drop the state of a job that is over; its parts stay"), Flag.optional),
  json
}, Effect.fnUntraced(function*({ database, forget, json }) {
  const cluster = yield* loadCluster
  if (forget._tag === "Some") {
    yield* cluster.forget(database, forget.value)
    return yield* report(`${forget.value} is forgotten`)
  }
  const found = yield* cluster.jobs(database)
  yield* printResult(json, found, (jobs) => jobs.length === 0 ? ["no jobs"] : jobs.flatMap(jobLines))
})).pipe(Command.withDescription("Say which inferences the processes of a cluster work on, and where they stand"))

/**
 * `elf infer`: parquet in, parquet out; and `elf parts`, which says what an output folder holds.
 */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Backend } from "../model/Backend.ts"
import * as Inference from "../run/inference/index.ts"
import { checkCluster, clusterFlags, inferHere } from "./clusterCommand.ts"
import { inferWatch, printEvent } from "./inferWatch.ts"
import { checkpoint, checkSampler, given, json, samplerChange, samplerFlags } from "./options.ts"
import { print, printResult } from "./print.ts"
import { duration, readable, report } from "./progress.ts"
import { parseShard } from "./shardOption.ts"

const described = <A>(flag: Flag.Flag<A>, description: string) => Flag.withDescription(flag, description)

const flags = {
  checkpoint,
  task: described(Flag.Literals("task", ["sample", "generate", "encode", "score"]), "sample: an answer to each prompt; generate: texts from noise; encode: latents; score: denoising losses").pipe(Flag.withDefault("sample" as const)),
  input: Flag.optional(described(Flag.String("input"), "Parquet file, folder or pattern; an http(s) URL; s3://bucket/prefix or a pattern")),
  column: Flag.optional(described(Flag.String("column"), "Column that is read: texts, or lists of token ids; a field of a struct by its path (meta.text); several with commas between, joined; default: the condition's column that a checkpoint of pairs was trained on")),
  columns: Flag.optional(described(Flag.String("columns"), "Input columns that the parts carry, with commas between them; default: all")),
  rows: Flag.optional(described(Flag.Int("rows"), "Texts to write (generate)")),
  output: described(Flag.Path("output"), "Folder for the parts, one for each row group"),
  pool: Flag.optional(described(Flag.Literals("pool", ["none", "mean"]), "Latents of every token, or their mean (encode)")),
  draws: Flag.optional(described(Flag.Int("draws"), "Noise levels that a loss is the mean of (score)")),
  codec: Flag.optional(described(Flag.Literals("codec", ["snappy", "zstd", "gzip", "uncompressed"]), "Compression of the added columns; default: snappy")),
  onError: described(Flag.Literals("on-error", ["fail", "skip", "quarantine"]), "A null row, a damaged row group or file: stop, go on and count it, or also write it down beside the parts").pipe(Flag.withDefault("fail" as const)),
  shard: described(Flag.String("shard"), "Do share i of n (from 0); auto/n takes i from JOB_COMPLETION_INDEX, AWS_BATCH_JOB_ARRAY_INDEX or SLURM_ARRAY_TASK_ID").pipe(Flag.withDefault("0/1")),
  fresh: described(Flag.Boolean("fresh"), "Remove the parts of an earlier inference and start over").pipe(Flag.withDefault(false)),
  batchSize: described(Flag.Int("batch-size"), "Rows at once; changes no result").pipe(Flag.withDefault(16)),
  json: described(Flag.Boolean("json"), "Print events and the summary as lines of JSON").pipe(Flag.withDefault(false)),
  ...samplerFlags,
  ...clusterFlags
}

const errorsLine = ({ failedRows, passedOver }: Inference.InferenceSummary): ReadonlyArray<string> =>
  failedRows === 0 && passedOver.length === 0 ? [] : [`without a result: ${readable(failedRows)} rows; passed over: ${passedOver.length} row groups and files`]

const summaryLines = (summary: Inference.InferenceSummary, output: string): ReadonlyArray<string> => {
  const { open, padding, resumed, rows, seconds, tokens, total, units } = summary
  const perSecond = (count: number) => readable(count / Math.max(seconds, 1e-3))
  return [
    `${readable(rows)} rows of ${units} row groups in ${duration(seconds)}: ${perSecond(rows)} rows/s, ${perSecond(tokens)} tokens/s, padding ${(100 * padding).toFixed(1)} %`,
    ...(resumed > 0 ? [`${resumed} row groups were done before`] : []),
    ...errorsLine(summary),
    open === 0 ? `${output} is complete: ${total} parts` : `${output}: ${total - open} of ${total} parts are done`
  ]
}

const columnNames = (columns: Option.Option<string>) => Option.map(columns, (names) => names.split(",").map((name) => name.trim()).filter((name) => name !== ""))

const refused = (where: string, detail: string, remedy: string) =>
  Effect.fail(new Inference.InferenceError({ reason: "request", where, detail, remedy }))

/** Refuses what one of several processes must not do. */
const checkTogether = (fresh: boolean, { count }: Inference.Shard, isCluster: boolean) => {
  if (fresh && count > 1) return refused("--fresh", "it would remove the parts of the other shards", "Empty the output folder before the shards start")
  if (fresh && isCluster) return refused("--fresh", "it would remove the parts of the other runners", "Empty the output folder before they start")
  return count > 1 && isCluster ? refused("--shard", "the processes of a cluster divide the work among themselves", "Leave it out") : Effect.void
}

/** The command. */
export const inferCommand = Command.make("infer", flags, Effect.fnUntraced(function*(options) {
  const { batchSize, fresh, json: asJson, onError, output, shard: givenShard, task } = options
  const change = samplerChange(options)
  yield* checkSampler(change)
  const shard = yield* parseShard(givenShard, process.env)
  yield* checkTogether(fresh, shard, Option.isSome(options.cluster))
  yield* checkCluster(options)
  const { description } = yield* Backend
  yield* report(`engine: ${description}`)
  const inference = yield* Inference.open({
    task,
    checkpoint: options.checkpoint,
    output,
    batchSize,
    change,
    fresh,
    onError,
    ...given("input", options.input),
    ...given("column", Option.map(columnNames(options.column), (names) => names.length === 1 ? names[0]! : names)),
    ...given("columns", columnNames(options.columns)),
    ...given("rows", options.rows),
    ...given("pool", options.pool),
    ...given("draws", options.draws),
    ...given("codec", options.codec)
  })
  if (Option.isSome(options.cluster)) {
    return yield* inferHere(inference, { ...options, database: options.cluster.value }, asJson).pipe(Effect.provide(inference.layer))
  }
  const share = yield* Inference.shareOf(inference, shard)
  if (asJson) yield* printEvent("start", { configuration: inference.plan.configuration, shard, rowGroups: share.units.length, pending: share.pending.length })
  else if (share.finished.length > 0) yield* report(`going on: ${share.finished.length} of ${share.units.length} row groups are done`)
  const watch = yield* inferWatch(share, asJson)
  const summary = yield* Inference.runShard(inference, share, shard, watch.tell).pipe(Effect.provide(inference.layer))
  yield* watch.last
  yield* asJson ? printEvent("summary", { ...summary, output }) : Effect.forEach(summaryLines(summary, output), print, { discard: true })
})).pipe(
  Command.withDescription("Answer, encode or score the rows of parquet files, into parquet files; started again, it goes on"),
  Command.provide(Backend.layer)
)

const unitsLine = ({ files, open, passedOver, total }: Inference.Status): string => {
  const rowGroups = passedOver.filter(({ rowGroup }) => rowGroup !== undefined).length
  const whole = passedOver.length - rowGroups
  return `${files} input files${whole > 0 ? ` (${whole} passed over)` : ""}, ${total} row groups: ${total - open.length - rowGroups} done, ${open.length} open, ${rowGroups} passed over`
}

const statusLines = (status: Inference.Status): ReadonlyArray<string> => [
  `${status.task} with ${status.model}`,
  unitsLine(status),
  `${readable(status.rows)} rows, ${readable(status.failedRows)} without a result; ${readable(status.tokens)} tokens, padding ${(100 * status.padding).toFixed(1)} %, ${readable(status.bytes)} bytes`,
  ...status.writers.map(({ name, seconds, units }) => `${name}: ${units} row groups in ${duration(seconds)}`),
  ...status.damaged.map((part) => `${part} is not what the manifest says: it will be made again`)
]

/** The command. */
export const partsCommand = Command.make("parts", {
  output: Argument.Path("output").pipe(Argument.withDescription("Output folder of elf infer")),
  verify: described(Flag.Boolean("verify"), "Read every part and compare its sha256").pipe(Flag.withDefault(false)),
  json
}, ({ json, output, verify }) => Effect.flatMap(Inference.status(output, { verify }), (status) => printResult(json, status, statusLines))).pipe(
  Command.withDescription("Say what an inference's output folder holds, from all shards")
)

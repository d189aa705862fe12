/**
 * Batch inference: parquet in, parquet out, in units that any number of processes share and any of them may do again.
 *
 * `open` plans a request, `shareOf` and `runShard` do a share of it. A runner of your own takes `units`, leaves out what
 * `done` has, and calls what `runner(name)` gives for each.
 *
 * @since 0.1.0
 */
export type { InferenceEvent, Problem, Tell, UnitReport } from "./events.ts"
export { InferenceError } from "./InferenceError.ts"
export type { InputFile, UnreadableFile } from "./inputs.ts"
export { type Inference, open, type OpenInferenceError, type UnitError, unitsOfShard } from "./open.ts"
export type { Plan, Unit } from "./plan.ts"
export type { InferenceRequest, OnError, Shard, Task } from "./request.ts"
export { rowKey } from "./rowKey.ts"
export { type InferenceSummary, runShard, type Share, shareOf, shardWriter, type Totals, totals } from "./run.ts"
export type { TaskServices } from "./tasks.ts"
export { sweep } from "./sweep.ts"
export { status, type Status, type WriterStatus } from "./status.ts"

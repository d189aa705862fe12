/**
 * What a batch inference is asked to do: plain JSON, so that a request can travel to another machine.
 *
 * @since 0.1.0
 */
import type { Parquet } from "../../io/index.ts"
import type { SamplerChoice } from "../sampling.ts"

/** `sample`: an answer to each prompt; `generate`: texts from noise; `encode`: latents; `score`: denoising losses. */
export type Task = "sample" | "generate" | "encode" | "score"

/**
 * What becomes of a row without a text, and of a row group or file that cannot be read: `fail` ends the work there,
 * `skip` goes on and counts it, `quarantine` also writes it down beside the parts. A row that is passed over stays in its
 * part, without a result.
 */
export type OnError = "fail" | "skip" | "quarantine"

/** One batch inference. Everything but `task`, `checkpoint` and `output` has a default. */
export interface InferenceRequest {
  readonly task: Task
  /** Checkpoint, or folder of a run. */
  readonly checkpoint: string
  /** Folder of the parts. */
  readonly output: string
  /** Parquet files, folders or patterns. Needed by every task but `generate`. */
  readonly input?: string | ReadonlyArray<string>
  /** Text column that is read. Needed wherever `input` is, but for a checkpoint trained on pairs: there it is their condition's. */
  readonly column?: string
  /** Input columns that the parts carry, in this order; absent: all. */
  readonly columns?: ReadonlyArray<string>
  /** Texts to write, ≥ 1; `generate` only. */
  readonly rows?: number
  /** What the command line changes of the checkpoint's own sampler. */
  readonly change?: Partial<Omit<SamplerChoice, "count">>
  /** `encode` only: the latents of every token, or their mean. Default `"none"`. */
  readonly pool?: "none" | "mean"
  /** `score` only: noise levels that a row's loss is the mean of. Default 4. */
  readonly draws?: number
  /** Compression of the added columns. Default `"snappy"`. */
  readonly codec?: Parquet.Codec
  /** Default `"fail"`. */
  readonly onError?: OnError
  /** Rows that go through the network at once; changes no result. Default 16. */
  readonly batchSize?: number
  /** Removes the parts of an earlier inference instead of going on with it. */
  readonly fresh?: boolean
}

/** One share of the work: units number `index`, `index + count`, … in the plan's order. */
export interface Shard {
  /** From 0. */
  readonly index: number
  readonly count: number
}

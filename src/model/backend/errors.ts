/**
 * What can go wrong between a program and the tensor engine that runs it.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/** A kernel (one named piece of tensor work) failed: a shape, a type or an operation that the engine does not accept. */
export class KernelError extends Schema.TaggedError<KernelError>()("KernelError", {
  kernel: Schema.String,
  engine: Schema.String,
  detail: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Kernel "${this.kernel}" failed on the ${this.engine} engine: ${this.detail}`
  }
}

/** The engine could not allocate the memory that a kernel asked for. */
export class OutOfMemoryError extends Schema.TaggedError<OutOfMemoryError>()("OutOfMemoryError", {
  kernel: Schema.String,
  engine: Schema.String,
  detail: Schema.String,
  remedy: Schema.String,
  /** Of the batch in hand, where there is one: rows, and tokens in each. */
  rows: Schema.optionalKey(Schema.Int),
  length: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    const batch = this.rows === undefined || this.length === undefined ? "" : ` with a batch of ${this.rows} rows × ${this.length} tokens`
    return `Kernel "${this.kernel}" ran out of memory on the ${this.engine} engine${batch} (${this.detail}). ${this.remedy}.`
  }
}

/** What a kernel has in hand: a batch of `rows` rows of `length` tokens, and which of its sizes can be lowered, and how. */
export interface KernelBatch {
  readonly rows: number
  readonly length: number
  readonly remedy: string
}

/** Everything that running a kernel can fail with. */
export type BackendError = KernelError | OutOfMemoryError

/** The engine that was asked for cannot run here. */
export class EngineUnavailableError extends Schema.TaggedError<EngineUnavailableError>()("EngineUnavailableError", {
  engine: Schema.String,
  why: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `The ${this.engine} engine cannot be used: ${this.why}. ${this.remedy}.`
  }
}

/** How the three engines, and JavaScript itself, say that memory is exhausted. */
const exhausted =
  /OOM when allocating|resource.?exhausted|out of memory|Array buffer allocation failed|Invalid typed array length|Invalid array (buffer )?length|Cannot enlarge memory|could not allocate/i

/** WebAssembly cannot say that it has no memory left: a failed allocation traps. Shapes and types are checked before. */
const trapped = (thrown: unknown): boolean => thrown instanceof Error && thrown.name === "RuntimeError"

const remedy = "Use a smaller batch size or sequence length, or a smaller model"

const detailOf = (thrown: unknown): string =>
  (thrown instanceof Error ? thrown.message : String(thrown)).replaceAll(/\s*\n\s*/g, " ").trim()

/** Turns what a kernel threw into a {@link BackendError}. */
export const toBackendError = (kernel: string, engine: string, batch?: KernelBatch) => (thrown: unknown): BackendError => {
  const detail = detailOf(thrown)
  return exhausted.test(detail) || trapped(thrown)
    ? new OutOfMemoryError({ kernel, engine, detail, remedy, ...batch })
    : new KernelError({ kernel, engine, detail, cause: thrown })
}

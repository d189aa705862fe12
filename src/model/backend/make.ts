/**
 * What the three engines have in common: one TensorFlow.js backend, made current and given to programs as a service.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { registerGradients } from "../../engine/index.mjs"
import { type BackendError, EngineUnavailableError, type KernelBatch, toBackendError } from "./errors.ts"

/** The engines, best first. */
export const engines = ["tensorflow", "wasm", "cpu"] as const

/** Name of an engine: libtensorflow, WebAssembly, or plain JavaScript. */
export type Engine = typeof engines[number]

/** The tensor engine as a program sees it. */
export interface BackendFields {
  /** Which engine runs. */
  readonly engine: Engine
  /** Engine, version, device and threads, for people: `libtensorflow 2.21.0, 2 threads`. */
  readonly description: string
  /**
   * Runs synchronous tensor work under a name. All tensors that it makes are released, except those that it returns.
   * `batch` is what an `OutOfMemoryError` says it was too much for.
   */
  readonly kernel: <A>(name: string, run: () => A, batch?: KernelBatch) => Effect.Effect<A, BackendError>
  /** How many tensors are alive in this process. */
  readonly live: Effect.Effect<number>
}

/** The tensors in a result. Typed arrays hold none: `tf.tidy` itself would look at each of their elements. */
const tensorsIn = (value: unknown): Array<tf.Tensor> => {
  if (value instanceof tf.Tensor) return [value]
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return []
  return Object.values(value).flatMap(tensorsIn)
}

/** Releases all tensors that `run` makes, except those in its result. */
const tidy = <A>(run: () => A): A => {
  let result: { readonly value: A } | undefined
  tf.tidy(() => {
    result = { value: run() }
    return tensorsIn(result.value)
  })
  return result!.value
}

/** A process has one current backend; where a program holds several services, each makes itself current for its kernels. */
const current = (engine: Engine): void => {
  if (tf.getBackend() !== engine) void tf.setBackend(engine)
}

/** Initialises the registered TensorFlow.js backend `engine` and wraps it. */
export const makeBackend = (engine: Engine, description: string): Effect.Effect<BackendFields, EngineUnavailableError> =>
  Effect.map(initialize(engine), () => {
    registerGradients(tf)
    return {
      engine,
      description,
      kernel: (name, run, batch) =>
        Effect.try({
          try: () => {
            current(engine)
            return tidy(run)
          },
          catch: toBackendError(name, engine, batch)
        }),
      live: Effect.sync(() => tf.memory().numTensors)
    }
  })

const initialize = (engine: Engine): Effect.Effect<void, EngineUnavailableError> =>
  Effect.flatMap(
    Effect.promise(() => tf.setBackend(engine).catch(() => false)),
    (ready) => ready ? Effect.void : Effect.fail(unavailable(engine, "it could not be initialised", "Choose another engine with ELF_STREAMS_ENGINE"))
  )

/** An {@link EngineUnavailableError} from its parts. */
export const unavailable = (engine: string, why: string, remedy: string): EngineUnavailableError =>
  new EngineUnavailableError({ engine, why, remedy })

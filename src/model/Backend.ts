/**
 * The tensor engine as a service: where tensors live and kernels run.
 *
 * Models import their operations from `@tensorflow/tfjs-core` and are pure functions; this service decides what runs them.
 * The engine is libtensorflow where it is installed, else WebAssembly, else plain JavaScript; the environment variable
 * `ELF_STREAMS_ENGINE` (`tensorflow`, `wasm` or `cpu`) chooses one, and `ELF_STREAMS_THREADS` its threads.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer } from "effect"
import { cpu } from "./backend/cpu.ts"
import type { EngineUnavailableError } from "./backend/errors.ts"
import { type BackendFields, type Engine, engines, unavailable } from "./backend/make.ts"
import { tensorflow } from "./backend/tensorflow.ts"
import { wasm } from "./backend/wasm.ts"

export { type BackendError, EngineUnavailableError, KernelError, OutOfMemoryError } from "./backend/errors.ts"
export type { BackendFields, Engine } from "./backend/make.ts"

const makers: Readonly<Record<Engine, Effect.Effect<BackendFields, EngineUnavailableError>>> = { tensorflow, wasm, cpu }

/** The best engine from `candidates` on; each that cannot be had is said in one line. */
const best = ([engine = "cpu", ...rest]: ReadonlyArray<Engine>): Effect.Effect<BackendFields, EngineUnavailableError> =>
  rest.length === 0
    ? makers[engine]
    : Effect.catchTag(makers[engine], "EngineUnavailableError", (error) =>
      Effect.andThen(Effect.logWarning(`${error.message} Going on with the ${rest[0]} engine.`), best(rest)))

const isEngine = (name: string): name is Engine => engines.some((engine) => engine === name)

/** The engine that `ELF_STREAMS_ENGINE` names, else the best one. */
const chosen: Effect.Effect<BackendFields, EngineUnavailableError> = Effect.suspend(() => {
  const name = process.env["ELF_STREAMS_ENGINE"] ?? ""
  if (name === "") return best(engines)
  if (isEngine(name)) return makers[name]
  return Effect.fail(unavailable(`"${name}"`, "ELF_STREAMS_ENGINE names no engine", `Set it to ${engines.join(", ")}, or unset it`))
})

/**
 * Runs tensor work.
 *
 * **Details**
 *
 * A kernel is one synchronous call: `yield* backend.kernel("step", () => tf.mul(a, b))`. What it throws becomes a
 * `KernelError` with its name, or an `OutOfMemoryError`.
 *
 * **Gotchas**
 *
 * Tensors are not garbage collected: whoever gets one from a kernel disposes it. A kernel cannot be interrupted.
 */
export class Backend extends Context.Service<Backend, BackendFields>()("elf-streams/model/Backend") {
  /** The engine that `ELF_STREAMS_ENGINE` names, else the best that this machine has, with a warning for each it lacks. */
  static readonly layer: Layer.Layer<Backend, EngineUnavailableError> = Layer.effect(Backend, chosen)

  /** libtensorflow, as `elf engine install` leaves it in the cache. */
  static readonly layerTensorFlow: Layer.Layer<Backend, EngineUnavailableError> = Layer.effect(Backend, tensorflow)

  /** WebAssembly, one thread. */
  static readonly layerWasm: Layer.Layer<Backend, EngineUnavailableError> = Layer.effect(Backend, wasm)

  /** Plain JavaScript, one thread. */
  static readonly layerCpu: Layer.Layer<Backend, EngineUnavailableError> = Layer.effect(Backend, cpu)
}

/**
 * WebAssembly as the engine: needs nothing but Node, and is several times as fast as plain JavaScript.
 *
 * It has no threads here: its threaded build is made for browsers, and TensorFlow.js turns it off in Node.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { registerCpu } from "./cpu.ts"
import type { EngineUnavailableError } from "./errors.ts"
import { lendKernels } from "./lendKernels.ts"
import { type BackendFields, makeBackend, unavailable } from "./make.ts"
import { registerSegmentSum } from "./segmentSum.ts"

const register = Effect.tryPromise({
  try: () => import("@tensorflow/tfjs-backend-wasm"),
  catch: (thrown) => unavailable("wasm", String(thrown), "Choose the plain JavaScript engine with ELF_STREAMS_ENGINE=cpu")
})

const fillGaps = Effect.sync(() => {
  registerSegmentSum("wasm")
  lendKernels("cpu", "wasm")
})

const simd = Effect.promise(() => tf.env().getAsync("WASM_HAS_SIMD_SUPPORT"))

/** Makes WebAssembly the current engine, with the JavaScript kernels where it has none of its own. */
export const wasm: Effect.Effect<BackendFields, EngineUnavailableError> = Effect.gen(function*() {
  yield* register
  yield* registerCpu
  yield* fillGaps
  return yield* makeBackend("wasm", `WebAssembly${(yield* simd) ? " with SIMD" : ""}, 1 thread`)
})

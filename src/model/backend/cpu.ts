/**
 * Plain JavaScript as the engine: slow, and there wherever Node is.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import type { EngineUnavailableError } from "./errors.ts"
import { type BackendFields, makeBackend } from "./make.ts"
import { registerSegmentSum } from "./segmentSum.ts"

/** At its first use the backend advises on the console to install tfjs-node, which is not for users of this package to do. */
const silenceAdvice = (): void => void Object.assign(tf.findBackend("cpu"), { firstUse: false })

/** Registers the JavaScript kernels. */
export const registerCpu: Effect.Effect<void> = Effect.promise(async () => {
  await import("@tensorflow/tfjs-backend-cpu")
  silenceAdvice()
  registerSegmentSum("cpu")
})

/** Makes plain JavaScript the current engine. */
export const cpu: Effect.Effect<BackendFields, EngineUnavailableError> =
  Effect.andThen(registerCpu, makeBackend("cpu", "plain JavaScript, 1 thread"))

/**
 * The gradients of TensorFlow.js, for programs that use its core alone.
 *
 * `@tensorflow/tfjs-core` ships them as source files that Node cannot import (no file extensions in their imports), and its
 * entry point leaves them out; only the union package, with its 220 MB of dependencies, registers them. Here those very
 * files are loaded, with everything they import taken from the caller's own core.
 *
 * @since 0.1.0
 * @source tfjs-core 4.22.0, src/register_all_gradients.ts
 */
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { moduleLoader } from "./moduleLoader.mjs"

/** @typedef {typeof import("@tensorflow/tfjs-core")} TensorFlowJs */

/** Methods of tensors that gradients and kernels call and that the core alone does not attach. */
const methods = /** @type {const} */ (["mul", "reshape", "slice", "split", "sub"])

/**
 * Registers the gradients of all operations, unless they are; safe to call again.
 *
 * @param {TensorFlowJs} tf the caller's TensorFlow.js
 * @returns {void}
 */
export const registerGradients = (tf) => {
  if (tf.getGradient("Sum") !== undefined) return
  const core = createRequire(import.meta.url).resolve("@tensorflow/tfjs-core/package.json")
  attachMethods(tf)
  moduleLoader((request, names) => fromCore(tf, request, names))(join(dirname(core), "dist", "register_all_gradients.js"))
}

/**
 * @param {TensorFlowJs} tf
 * @param {string} request
 * @param {ReadonlyArray<string>} names
 * @returns {unknown} the part of the core that exports all the names, or nothing
 */
const fromCore = (tf, request, names) => {
  if (request.endsWith("/engine")) return { ENGINE: tf.engine() }
  if (request.endsWith("/tensor")) return { getGlobalTensorClass: () => tf.Tensor }
  const parts = [tf, tf.util, tf.backend_util, tf.slice_util]
  // `import * as axis_util`: the core gathers these helpers in `backend_util`, or exports the namespace under its own name.
  const [name = ""] = names
  if (request.endsWith(`/${name}`) && name.endsWith("util")) return Object.entries(tf).find(([key]) => key === name)?.[1] ?? tf.backend_util
  return names.length === 0 ? undefined : parts.find((part) => names.every((each) => each in part))
}

/** @param {TensorFlowJs} tf @returns {void} */
export const attachMethods = (tf) => {
  /** @type {any} */
  const prototype = tf.Tensor.prototype
  for (const name of methods) {
    const operation = /** @type {(...parameters: ReadonlyArray<unknown>) => unknown} */ (/** @type {unknown} */ (tf[name]))
    prototype[name] ??= function (/** @type {ReadonlyArray<unknown>} */ ...parameters) {
      return operation(this, ...parameters)
    }
  }
  prototype.toInt ??= function () {
    return tf.cast(this, "int32")
  }
  prototype.toFloat ??= function () {
    return tf.cast(this, "float32")
  }
}

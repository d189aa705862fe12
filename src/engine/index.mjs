/**
 * The tensor engine: libtensorflow under TensorFlow.js, installed once a user and loaded from there. Node built-ins alone.
 *
 * @since 0.1.0
 */
export { cacheRoot } from "./cache.mjs"
export { openCollectives } from "./collectives.mjs"
export { doctor } from "./doctor.mjs"
export { EngineError, reasonOf } from "./EngineError.mjs"
export { registerGradients } from "./gradients.mjs"
export { install } from "./install.mjs"
export { load } from "./load.mjs"
export { locate } from "./locate.mjs"

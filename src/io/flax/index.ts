/**
 * Flax's msgpack files.
 *
 * @since 0.1.0
 */
export * as FlaxCheckpoint from "./FlaxCheckpoint.ts"
export * as FlaxFile from "./FlaxFile.ts"
export { FlaxFileError } from "./FlaxFileError.ts"

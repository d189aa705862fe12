/**
 * Safetensors files: lazily read, tensor by tensor, and written whole or not at all.
 *
 * @since 0.1.0
 */
export { open, readAll, type SafetensorsFile, type Tensor } from "./SafetensorsRead.ts"
export { type DeferredTensor, type TensorToWrite, type Writable, write, type WriteOptions, writeTo, type WrittenTensors } from "./SafetensorsWrite.ts"
export { SafetensorsError } from "./SafetensorsError.ts"
export type { TensorInfo } from "./safetensorsHeader.ts"

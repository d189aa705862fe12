/**
 * PyTorch's files, read without executing anything.
 *
 * @since 0.1.0
 */
export * as TorchCheckpoint from "./TorchCheckpoint.ts"
export * as TorchFile from "./TorchFile.ts"
export { TorchFileError } from "./TorchFileError.ts"

/**
 * Checkpoints: a folder with one safetensors file a section and one `checkpoint.json` with their sha256.
 *
 * ```
 * run/
 *   latest                      the name of the checkpoint to go on from
 *   step-00000100/
 *     checkpoint.json           step, configuration, metadata, size and sha256 of each file
 *     model.safetensors         one file a section: model, ema, optimizer, …
 * ```
 *
 * @since 0.1.0
 */
export { type Checkpoint, mismatches, read, type Shapes } from "./CheckpointRead.ts"
export { list, resolve, type StepFolder } from "./checkpointFolders.ts"
export { type Contents, write, writeFolder, type WriteOptions, type WrittenCheckpoint } from "./CheckpointWrite.ts"
export { type Retention } from "./checkpointRetention.ts"
export { CheckpointError, fromSafetensorsError, type Mismatch } from "./CheckpointError.ts"

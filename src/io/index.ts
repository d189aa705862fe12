/**
 * Files at the edge: parquet, safetensors, checkpoints, run files, metrics.
 *
 * @since 0.1.0
 */
export * as Checkpoint from "./Checkpoint.ts"
export * as Gpt2Folder from "./Gpt2Folder.ts"
export * as MetricsLog from "./MetricsLog.ts"
export * as Parquet from "./Parquet.ts"
export * as PartManifest from "./PartManifest.ts"
export * as RunConfig from "./RunConfig.ts"
export { acquireRunLock, type LockOptions, type RunLock, RunLockedError } from "./RunLock.ts"
export * as TensorBoardLog from "./TensorBoardLog.ts"
export * as Safetensors from "./Safetensors.ts"
export * as Hub from "./hub/Hub.ts"
export * as T5Folder from "./T5Folder.ts"
export * as TextLines from "./TextLines.ts"
export { Disk, type DiskEntry, DiskError, type DiskFile, type DiskOperations } from "./Disk.ts"
export { Remote, type RemoteSettings } from "./source/Remote.ts"

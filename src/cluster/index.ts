/**
 * Work shared by a pool of processes that may lose some of them, on PostgreSQL and Effect's cluster and workflow engine.
 *
 * Not part of the package's main entry: it needs `@effect/sql-pg`, which only its users install.
 *
 * @since 0.1.0
 */
export { ClusterError, UnitFailedError } from "./ClusterError.ts"
export type { DatabaseEvent } from "./databaseLoss.ts"
export { type ClusterSummary, type ClusterWatch, inferOnCluster } from "./inferOnCluster.ts"
export { forget, jobs, type JobStatus, type UnitInHand } from "./jobs.ts"
export { type ClusterJob, type FailedUnit, type JobProgress, type JobSummary, type JobWatch, runJob, type RunnerOptions } from "./runJob.ts"

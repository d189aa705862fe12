/**
 * Work shared by a pool of processes that may lose some of them, on PostgreSQL and Effect's cluster and workflow engine.
 *
 * @since 0.2.0
 */
export { ClusterError, UnitFailedError } from "./ClusterError.ts"
export { type ClusterJob, type FailedUnit, type JobProgress, type JobSummary, runJob, type RunnerOptions } from "./runJob.ts"

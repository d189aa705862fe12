/**
 * The mathematics of flow matching: no device, no input or output.
 *
 * @since 0.1.0
 */
export { ArgumentError, RecordedDrawError } from "./errors.ts"
export * as Distillation from "./Distillation.ts"
export * as Guidance from "./Guidance.ts"
export * as Path from "./Path.ts"
export * as Philox from "./Philox.ts"
export * as Random from "./Random.ts"
export * as Samplers from "./Samplers.ts"
export * as Solver from "./Solver.ts"
export * as TimeDistribution from "./TimeDistribution.ts"
export * as TimeGrid from "./TimeGrid.ts"

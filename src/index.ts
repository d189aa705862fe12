/**
 * Embedded Language Flows as typed streams: the public surface, room by room. Each room's own index says what is in it.
 *
 * @since 0.1.0
 */
export * from "./flow/index.ts"
export * from "./metrics/index.ts"
export * from "./model/index.ts"
export * from "./streams/index.ts"
export * from "./io/index.ts"
export * from "./run/index.ts"

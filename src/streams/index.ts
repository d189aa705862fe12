/**
 * What flows: every stage is a function from stream to stream.
 *
 * @since 0.1.0
 */
export { batch } from "./batch.ts"
export { dropLabels, splitCondition } from "./condition.ts"
export { BatchShapeError, PackResumeError } from "./errors.ts"
export { pack, type PackOptions, packPairs, type PackPairsOptions } from "./pack.ts"
export { prefetch } from "./prefetch.ts"
export type { EmbeddedSequence, LabelledSequence, LatentBatch, PackPosition, Sequence } from "./Sequence.ts"
export { shuffle } from "./shuffle.ts"
export { compose, type Stage } from "./Stage.ts"
export { type TextPair, tokenize, tokenizePairs, type TokenPair } from "./tokenize.ts"
export { padAfterEndOfSequence, shiftLeft } from "./trim.ts"

/**
 * What flows: every stage is a function from stream to stream.
 *
 * @since 0.1.0
 */
export { batch } from "./batch.ts"
export { checkpoint, type CheckpointOptions } from "./checkpoint.ts"
export { dropLabels, splitCondition } from "./condition.ts"
export { corrupt, type CorruptedBatch, type CorruptionOptions } from "./corrupt.ts"
export { decode, type Decoded, type DecodeOptions, detokenize, type Texts, trimAnswer, type TrimOptions } from "./decode.ts"
export { embed } from "./embed.ts"
export { BatchShapeError, PackResumeError } from "./errors.ts"
export { encode, type Encoded, type EncodeOptions } from "./encode.ts"
export { evaluate } from "./evaluate.ts"
export { generate, type Generated, type GenerateOptions, type KeyedPrompt } from "./generate.ts"
export { metrics, type MetricsOptions } from "./metrics.ts"
export { pack, type PackOptions, packPairs, type PackPairsOptions } from "./pack.ts"
export { prefetch } from "./prefetch.ts"
export { sample, type SampleCondition, type Sampled, type SampleOptions, type SamplerOptions } from "./sample.ts"
export { score, type Scored, type ScoreOptions } from "./score.ts"
export { selfCondition, type SelfConditionedBatch } from "./selfCondition.ts"
export type { EmbeddedSequence, LabelledSequence, LatentBatch, PackPosition, Sequence } from "./Sequence.ts"
export { shuffle } from "./shuffle.ts"
export { compose, type Stage } from "./Stage.ts"
export { type TextPair, tokenize, tokenizePairs, type TokenPair } from "./tokenize.ts"
export { DivergedError, StaleBatchError, type StepMetrics, train, type TrainOptions } from "./train.ts"
export { padAfterEndOfSequence, shiftLeft } from "./trim.ts"

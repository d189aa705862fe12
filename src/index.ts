/**
 * Embedded Language Flows as typed streams: the public surface, room by room.
 *
 * @since 0.1.0
 */
export {
  ArgumentError, Distillation, Guidance, Path, Philox, Random, RecordedDrawError, Solver, TimeDistribution, TimeGrid
} from "./flow/index.ts"
export { Bleu, Entropy, KneserNey, Perplexity, Rouge } from "./metrics/index.ts"
export {
  Backend, type BackendError, type BackendFields, Elf, type ElfWeights, type EmbedError, Encoder, type EncoderRows, type Engine,
  EngineUnavailableError, type FlowProcess, Gpt2, type Gpt2Weights, Initialization, KernelError, LanguageModel,
  type LatentNormalization, LearningRate,
  Loss, MaskedTokens, ModelConfig, Network, OnnxEncoder, Optimizer, OutOfMemoryError, Parameters, publishedProcess,
  restore, snapshot, type SpecialTokens, SpoiledStateError, T5Encoder, type T5Weights, Teacher, TokenizeError, Tokenizer,
  type TrainSnapshot, type TrainStart, TrainState,
  type TrainStateFields, VelocityField
} from "./model/index.ts"
export {
  batch, BatchShapeError, checkpoint, type CheckpointOptions, compose, corrupt, type CorruptedBatch,
  type CorruptionOptions, decode, type Decoded, type DecodeOptions, detokenize, DivergedError, dropLabels, embed,
  type EmbeddedSequence, encode, type Encoded, type EncodeOptions, endingOnInterruption, type EndOnInterruption,
  evaluate, generate, type Generated, type GenerateOptions, type KeyedPrompt, type LabelledSequence, type LatentBatch, metrics, type MetricsOptions,
  type NoisyBatch, pack, type PackOptions, packPairs, type PackPairsOptions, type PackPosition, PackResumeError,
  padAfterEndOfSequence, prefetch, sample, type SampleCondition, type Sampled, type SampleOptions, type SamplerOptions,
  score, type Scored, type ScoreOptions, selfCondition, type SelfConditionedBatch, type Sequence, shiftLeft, shuffle,
  splitCondition, type Stage, StaleBatchError, type StepMetrics, type TaughtBatch, teach, type TeachOptions,
  type TextPair, type Texts, tokenize, tokenizePairs, type TokenPair, train, type TrainableBatch, type TrainOptions,
  trimAnswer, type TrimOptions
} from "./streams/index.ts"
export {
  acquireRunLock, Checkpoint, Disk, type DiskEntry, DiskError, type DiskFile, type DiskOperations, Gpt2Folder, Hub,
  type LockOptions, MetricsLog, Parquet, PartManifest, Remote, type RemoteSettings, RunConfig, type RunLock,
  RunLockedError, Safetensors, T5Folder, TensorBoardLog, TextLines
} from "./io/index.ts"
export {
  configurationChanges, corruptionOptions, type DataPosition, type DataStart, distillationLosses,
  type DistillationRound, distillationRounds, EncoderError, encoderLayer, fingerprints, type Fingerprints,
  generateOptions, heldOutBatches, heldOutLosses, Inference, type LoadEncoderError, type LoadTokenizerError,
  NoDataError, type PlannedRun, planDistillation, planRun, positionOf, Pretrained, processOf, readTrainSnapshot,
  refuseChanges, roundCorruption, rowsPerEpoch, RunChangedError, runChanges, type RunPosition, samplerChoice,
  type SamplerChoice, samplerOptions, ShortRunError, TeacherError, teacherWeights, teachOptions, timeSteps,
  tokenizerLayer, trainingBatches, type TrainingFile, trainingFiles, trainOptions, writeTrainCheckpoint
} from "./run/index.ts"

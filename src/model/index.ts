/**
 * The network, its encoder and its optimiser: services that stages use, and the pure functions behind them.
 *
 * @since 0.1.0
 */
export {
  Backend,
  type BackendError,
  type BackendFields,
  type Engine,
  EngineUnavailableError,
  KernelError,
  OutOfMemoryError
} from "./Backend.ts"
export {
  Collective,
  type CollectiveError,
  type CollectiveFields,
  CollectiveUnavailableError,
  type GroupOptions,
  type Patience,
  PeerLostError,
  RanksDifferError
} from "./Collective.ts"
export * as Elf from "./Elf.ts"
export { type EmbedError, Encoder, type EncoderRows, type LatentNormalization, type T5Weights } from "./Encoder.ts"
export { type FlowProcess, publishedProcess } from "./FlowProcess.ts"
export * as Gpt2 from "./Gpt2.ts"
export * as Initialization from "./Initialization.ts"
export { type Gpt2Weights, LanguageModel } from "./LanguageModel.ts"
export * as LearningRate from "./LearningRate.ts"
export * as Loss from "./Loss.ts"
export * as MaskedTokens from "./MaskedTokens.ts"
export * as ModelConfig from "./ModelConfig.ts"
export { type ElfWeights, Network } from "./Network.ts"
export * as OnnxEncoder from "./OnnxEncoder.ts"
export * as Optimizer from "./Optimizer.ts"
export * as Parameters from "./Parameters.ts"
export * as T5Encoder from "./T5Encoder.ts"
export { Teacher } from "./Teacher.ts"
export { type SpecialTokens, TokenizeError, Tokenizer } from "./Tokenizer.ts"
export { type DeviceTensor, lazySnapshot, restore, snapshot, SpoiledStateError, type TrainSnapshot, type TrainStart, TrainState, type TrainStateFields } from "./TrainState.ts"
export * as VelocityField from "./VelocityField.ts"

/**
 * A run file put to work: its sections as the options of stages, its data as batches, its checkpoints as networks.
 *
 * @since 0.1.0
 */
export { corruptionOptions, trainOptions } from "./corruption.ts"
export { heldOutBatches, heldOutLosses } from "./heldOut.ts"
export * as Inference from "./inference/index.ts"
export * as Pretrained from "./Pretrained.ts"
export { readTrainSnapshot, type RunPosition, writeTrainCheckpoint } from "./runCheckpoint.ts"
export { generateOptions, processOf, samplerChoice, type SamplerChoice, samplerOptions, timeSteps } from "./sampling.ts"
export { type DataStart, NoDataError, trainingBatches } from "./trainingData.ts"
export { EncoderError, encoderLayer } from "./weights.ts"

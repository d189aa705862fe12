/**
 * A run file put to work: its sections as the options of stages, its data as batches, its checkpoints as networks.
 *
 * @since 0.1.0
 */
export { corruptionOptions, trainOptions } from "./corruption.ts"
export { type DistillationRound, distillationRounds, roundCorruption, TeacherError, teacherWeights, teachOptions } from "./distillation.ts"
export { encoderLayer, type LoadEncoderError, type LoadTokenizerError, tokenizerLayer } from "./encoder.ts"
export { EncoderError } from "./encoderPlace.ts"
export { distillationLosses, heldOutBatches, heldOutLosses } from "./heldOut.ts"
export * as Inference from "./inference/index.ts"
export { type DistillationSection, planDistillation, type PlannedDistillation, type PlannedRun, planRun, rowsPerEpoch, ShortRunError } from "./plan.ts"
export * as Pretrained from "./Pretrained.ts"
export { readTrainSnapshot, type RunPosition, writeTrainCheckpoint } from "./runCheckpoint.ts"
export {
  checkedChoice, generateOptions, infillOptions, processOf, samplerChoice, type SamplerChoice, samplerOptions, timeSteps
} from "./sampling.ts"
export { requireSameRun, requireSameState, shareState } from "./sharedRun.ts"
export { type DataStart, trainingBatches } from "./trainingData.ts"
export { type DataPosition, NoDataError, positionOf, type TrainingFile, trainingFiles } from "./trainingFiles.ts"

/**
 * Evaluation as the reference does it: texts from a checkpoint under a sweep of settings, and figures about them.
 *
 * @since 0.1.0
 */
export { documents, readPairs, type CorpusPlace, type PairsPlace, type ReadTextsError, type TextPair } from "./data.ts"
export { evaluate, type EvaluationEvent, referenceTexts, type Tell } from "./evaluate.ts"
export { EvaluationError } from "./EvaluationError.ts"
export { scoreTexts } from "./figures.ts"
export { openScorer, type OpenScorerError, type ScorerChoice } from "./openScorer.ts"
export { plot } from "./plot.ts"
export { bySettings, type ConditionalFigures, type EvaluationReport, type GenerativeFigures, overSeeds, type PointReport, qualities, type SeedGroup, type Settings } from "./report.ts"
export type { EvaluationRequest, Protocol, Sweep, SweptKey } from "./request.ts"
export { type Judged, Scorer, type ScorerDescription } from "./Scorer.ts"

/**
 * What an evaluation is asked to do.
 *
 * @since 0.1.0
 */
import type { Mask } from "../../metrics/Perplexity.ts"
import type { SamplerChoice } from "../sampling.ts"
import type { CorpusPlace, PairsPlace } from "./data.ts"
import type { ScorerChoice } from "./openScorer.ts"

/** What can be swept over. */
export type SweptKey = "solver" | "steps" | "gamma" | "churn" | "guidanceScale" | "selfConditionScale" | "seed"

/** Values to try, in every combination; a key that is left out keeps the checkpoint's own value. */
export type Sweep = { readonly [Key in SweptKey]?: ReadonlyArray<SamplerChoice[Key]> }

/** Texts from noise, judged by a scorer; or answers to inputs, compared with the outputs that belong to them. */
export type Protocol =
  | {
    readonly task: "unconditional"
    readonly scorer: ScorerChoice
    /** Which tokens count. The published figures are the reference's. */
    readonly mask: Mask
    /** Real texts to judge beside the samples, cut as training rows are. */
    readonly reference?: CorpusPlace
  }
  | { readonly task: "translation" | "summarisation"; readonly data: PairsPlace }

/** One evaluation. */
export interface EvaluationRequest {
  /** Checkpoint, or folder of a run. */
  readonly checkpoint: string
  /** Folder for texts, report and plot; what it holds of the same settings already is not made again. */
  readonly output: string
  readonly protocol: Protocol
  /** Texts to write, or pairs to take, ≥ 1. */
  readonly count: number
  /** What the command line changes of the checkpoint's own sampler, where it is not swept over. */
  readonly change: Partial<SamplerChoice>
  readonly sweep: Sweep
  /** Rows that go through the network at once; changes no result. */
  readonly batchSize: number
}

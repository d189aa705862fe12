/**
 * The end of a run whose numbers are no numbers any more.
 */
import { Schema } from "effect"

/** The loss or the gradient stopped being finite. The step was not applied: weights and moments are the previous ones. */
export class DivergedError extends Schema.TaggedError<DivergedError>()("DivergedError", {
  step: Schema.Number,
  /** Whose loss or gradient it was; `both` also where each is finite and their sum is not. */
  branch: Schema.Literals(["denoiser", "decoder", "both"]),
  loss: Schema.Number,
  denoiserLoss: Schema.Number,
  decoderLoss: Schema.Number,
  /** Of the whole batch, before clipping. */
  gradientNorm: Schema.Number,
  /** Where packing goes on after the batch. */
  resume: Schema.optionalKey(Schema.Struct({ documents: Schema.Number, offset: Schema.Number, index: Schema.Number }))
}) {
  /** What happened, in one sentence. */
  get summary(): string {
    const branch = this.branch === "both" ? "denoiser and decoder branches" : `${this.branch} branch`
    return `Training diverged at step ${this.step} in the ${branch}: loss ${this.loss} (denoiser ${this.denoiserLoss}, decoder ${this.decoderLoss}), gradient norm ${this.gradientNorm}.`
  }

  override get message(): string {
    return `${this.summary} The step was not applied and no checkpoint was touched; lower the learning rate and go on from the last one, ` +
      "or pass such batches over with --on-divergence skip."
  }
}

/** Where a batch diverged. */
export type DivergedBranch = DivergedError["branch"]

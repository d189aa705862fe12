/**
 * The rules of Muon, of its Nesterov-Adam companion and of AdamW, as the factors of one update: what the kernels and the
 * portable form both compute with.
 */

/** Which rule updates the parameters, and its constants. */
export interface OptimizerOptions {
  readonly kind: "muon" | "adamw"
  /** AdamW only; Muon takes none, in the reference too. */
  readonly weightDecay: number
  /** AdamW only, as `beta2`; Muon's companion has 0.9 and 0.999. */
  readonly beta1: number
  readonly beta2: number
}

/** What all rules need to know about this update. */
export interface Update {
  /** What gradients are multiplied by: 1, or less when the global norm is clipped. */
  readonly gradientScale: number
  readonly learningRate: number
  /** 1 for the first update. */
  readonly count: number
}

/** momentum ← keep·momentum + add·gradient; direction = momentumShare·momentum + gradientShare·gradient */
export interface MomentumCoefficients {
  readonly keep: number
  readonly add: number
  readonly momentumShare: number
  readonly gradientShare: number
}

/**
 * mean ← meanKeep·mean + meanAdd·g; variance ← varianceKeep·variance + varianceAdd·g²;
 * value ← valueKeep·value − step·(meanShare·mean + gradientShare·g) / (deviationShare·√variance + 1e-8)
 */
export interface AdamCoefficients {
  readonly meanKeep: number
  readonly meanAdd: number
  readonly varianceKeep: number
  readonly varianceAdd: number
  readonly meanShare: number
  readonly gradientShare: number
  readonly deviationShare: number
  readonly valueKeep: number
  readonly step: number
}

const muonMomentum = 0.95
const companion = { beta1: 0.9, beta2: 0.999 }

/** The running average, and Nesterov's step ahead with both bias corrections. */
const nesterov = (beta: number, { count, gradientScale }: Update): MomentumCoefficients => ({
  keep: beta,
  add: (1 - beta) * gradientScale,
  momentumShare: beta / (1 - beta ** (count + 1)),
  gradientShare: ((1 - beta) * gradientScale) / (1 - beta ** count)
})

/** Muon's momentum, before its direction is made orthogonal. @source `utils/muon_utils.py`, `_muon_update_optax` */
export const muonCoefficients = (update: Update): MomentumCoefficients => nesterov(muonMomentum, update)

/** Muon's companion, or AdamW with decoupled weight decay. @source `utils/muon_utils.py`, `_nesterov_adam_update`; `torch.optim.AdamW` */
export const adamCoefficients = (options: OptimizerOptions, update: Update): AdamCoefficients => {
  const { count, gradientScale, learningRate } = update
  const { beta1, beta2 } = options.kind === "muon" ? companion : options
  const { add, gradientShare, keep, momentumShare } = nesterov(beta1, update)
  return {
    meanKeep: keep,
    meanAdd: add,
    varianceKeep: beta2,
    varianceAdd: (1 - beta2) * gradientScale ** 2,
    deviationShare: 1 / Math.sqrt(1 - beta2 ** count),
    step: learningRate,
    ...(options.kind === "muon"
      ? { meanShare: momentumShare, gradientShare, valueKeep: 1 }
      : { meanShare: 1 / (1 - beta1 ** count), gradientShare: 0, valueKeep: 1 - learningRate * options.weightDecay })
  }
}

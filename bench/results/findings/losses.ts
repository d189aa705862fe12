/** Held-out losses of either branch, each over the same 256 rows, all of them of that branch: two networks compare. */
import { Effect, Layer } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { corruptionOptions } from "../../../src/run/corruption.ts"
import { heldOutBatches, heldOutLosses } from "../../../src/run/heldOut.ts"
import type { Pretrained } from "../../../src/run/Pretrained.ts"
import { checkpoints, corpus, type Trained } from "./variants.ts"

/** What a network comes to on held-out text. */
export interface HeldOut {
  /** Squared velocity error, a channel of normalised latents. */
  readonly denoiser: number
  /** Cross-entropy, nats a token. */
  readonly decoder: number
}

/** The file of a network's losses. */
const lossesFile = (trained: Trained): string => `${checkpoints(trained)}-losses.json`

export const readLosses = (trained: Trained): HeldOut | undefined =>
  existsSync(lossesFile(trained)) ? JSON.parse(readFileSync(lossesFile(trained), "utf8")) as HeldOut : undefined

/** Measures a network's losses, of the weights that sampling uses, where they are not there yet. The noise is that of seed 0. */
export const measureLosses = Effect.fnUntraced(function*(trained: Trained, { layer, run }: Pretrained) {
  if (readLosses(trained) !== undefined) return
  const judged = { ...run, seed: 0, data: { ...run.data, heldOut: corpus("held-out") } }
  const lossesWith = (decoderProbability: number) =>
    Effect.flatMap(heldOutBatches(judged, { ...corruptionOptions(run), decoderProbability }), heldOutLosses)
  const losses = yield* Effect.all([lossesWith(0), lossesWith(1)]).pipe(Effect.provide(Layer.fresh(layer)))
  const [{ denoiserLoss }, { decoderLoss }] = losses
  writeFileSync(lossesFile(trained), JSON.stringify({ denoiser: denoiserLoss, decoder: decoderLoss } satisfies HeldOut))
})

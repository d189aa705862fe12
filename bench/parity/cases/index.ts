/** Which case is run how, by its name. The first pattern that fits decides. */
import type { RunCase } from "../Finding.ts"
import { checkpointCase } from "./checkpoints.ts"
import { checkpointTrajectoryCase } from "./checkpointTrajectory.ts"
import { collateCase } from "./collate.ts"
import { distillationCase } from "./distillation.ts"
import { encoderCase } from "./encoder.ts"
import { forwardCase, traceCase } from "./forward.ts"
import { initializationCase } from "./initialization.ts"
import { metricsCase } from "./metrics.ts"
import { newtonSchulzCase, optimizerCase, schedulesCase } from "./optimizer.ts"
import { samplingCase } from "./sampling.ts"
import { trajectoryCase } from "./trajectory.ts"
import { trainStepCase } from "./trainStep.ts"
import { unitsCase } from "./units.ts"
import { encoderWeights, networkWeights, pairedWeights } from "./weights.ts"

export const kinds: ReadonlyArray<readonly [name: RegExp, run: RunCase]> = [
  [/^t5_weights$/, encoderWeights],
  [/^t5_forward/, encoderCase],
  [/^model(_|$)/, networkWeights],
  [/^fwd_trace/, traceCase],
  [/^fwd_/, forwardCase],
  [/^collate_/, collateCase],
  [/^train_/, trainStepCase],
  [/^optim_/, optimizerCase],
  [/^newton_schulz/, newtonSchulzCase],
  [/^lr_schedules/, schedulesCase],
  [/^traj_/, trajectoryCase],
  [/^sample_/, samplingCase],
  [/^units/, unitsCase],
  [/^init_stats/, initializationCase],
  [/^ckpt_train_traj/, checkpointTrajectoryCase],
  [/^ckpt_.*_expected$/, checkpointCase],
  [/^distill_models/, pairedWeights],
  [/^distill_/, distillationCase],
  [/^metrics$/, metricsCase]
]

/** How the case of this name is run; undefined for an unknown one. */
export const kindOf = (name: string): RunCase | undefined => kinds.find(([pattern]) => pattern.test(name))?.[1]

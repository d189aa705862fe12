/**
 * Batches → losses of the network as it stands, without a step.
 */
import { Effect, Stream } from "effect"
import { Backend, type BackendError } from "../model/Backend.ts"
import { trainingBatch } from "../model/KernelBatch.ts"
import { evaluateLosses, type Losses } from "../model/Loss.ts"
import { Network } from "../model/Network.ts"
import type { Stage } from "./Stage.ts"
import type { TrainableBatch } from "./train.ts"

/** The losses of each batch: what `train` would report, with nothing changed. */
export const evaluate: Stage<TrainableBatch, Losses, BackendError, Backend | Network> = Stream.mapEffect(
  Effect.fnUntraced(function*(batch: TrainableBatch) {
    yield* Effect.yieldNow
    const backend = yield* Backend
    const { elf } = yield* Network
    return yield* backend.kernel("evaluate", () => evaluateLosses(elf, batch, batch.timeEpsilon), trainingBatch(batch))
  })
)

/**
 * `ckpt_train_traj`: the training steps whose end is the PyTorch checkpoint of the same directory.
 *
 * Notable: the weights that it starts from are not recorded, but they follow. The checkpoint has the moving average of
 * all weights on the way, which hardly depends on anything but the first ones: what a run's average misses it by is what
 * the run's start misses the recorded one by, up to a factor well below 1. From there the whole run is compared: losses,
 * norms, weights on the way and at the end, and the optimiser's moments.
 */
import { Effect } from "effect"
import { join } from "node:path"
import type { ForeignWeights } from "../../../src/io/ForeignWeights.ts"
import type { HostTensor } from "../../../src/model/Parameters.ts"
import { openSource, type SourceError } from "../../../src/run/convertSource.ts"
import type { Directory, Fixture } from "../Directory.ts"
import { NotRun, type RunCase } from "../Finding.ts"
import { modelConfig, type ModelSettings } from "../reference.ts"
import { measureError } from "../tolerances.ts"
import { storesOf } from "./checkpoints.ts"
import { compareTrajectory, compareWeights, type Run, runTrajectory, type TrajectoryCase } from "./trajectory.ts"

const expectedName = "ckpt_torch_expected"

const readAll = (weights: ForeignWeights<SourceError>) =>
  Effect.forEach(weights, ([name, { read, shape }]) => Effect.map(read, (data): HostTensor => ({ name, shape, data })))

/** What the run ends with: weights, their average, and the optimiser's moments. */
const readEnd = (directory: Directory) =>
  Effect.scoped(Effect.gen(function*() {
    const expected = directory.cases.find(({ name }) => name === expectedName)
    const [store] = expected === undefined ? [] : storesOf(directory, expected)
    if (store === undefined) return yield* new NotRun({ why: "its first weights are not recorded, and the checkpoint that they would follow from is not there" })
    const { checkpoint: { ema, model, optimizer } } = yield* openSource(join(directory.path, store))
    if (ema === undefined || optimizer === undefined) return yield* new NotRun({ why: "its first weights are not recorded, and its checkpoint has no average or no moments" })
    return {
      config: modelConfig(expected!.config as ModelSettings),
      weights: yield* readAll(model),
      average: yield* readAll(ema),
      moments: yield* readAll(optimizer.moments)
    }
  }))

type End = Effect.Success<ReturnType<typeof readEnd>>

const byName = (tensors: ReadonlyArray<HostTensor>) => new Map(tensors.map(({ data, name }) => [name, data]))

/** start + (target − reached), tensor by tensor, and the largest of the relative misses. */
const corrected = (start: ReadonlyArray<HostTensor>, target: ReadonlyArray<HostTensor>, reached: ReadonlyArray<HostTensor>) => {
  const [aims, arrivals] = [byName(target), byName(reached)]
  const tensors = start.map(({ data, name, shape }) => {
    const [aim, arrival] = [aims.get(name)!, arrivals.get(name)!]
    return { name, shape, data: data.map((value, i) => value + aim[i]! - arrival[i]!) }
  })
  return { tensors, miss: Math.max(...target.map(({ data, name }) => measureError(arrivals.get(name) ?? [], data).relative)) }
}

/** Nearer than this, roundings decide, which Newton–Schulz enlarges. */
const nearEnough = 5e-6
/** Farther than this, the search has not converged. */
const tooFar = 1e-4
const mostRuns = 20

/** The run whose average is nearest to the checkpoint's. */
const findRun = (recorded: Fixture, each: TrajectoryCase, { average, config }: End) =>
  Effect.gen(function*() {
    let tensors: ReadonlyArray<HostTensor> = average
    let best: { readonly run: Run; readonly miss: number } | undefined
    for (let attempt = 0; attempt < mostRuns && (best === undefined || best.miss > nearEnough); attempt++) {
      const run = yield* runTrajectory(recorded, each, { config, tensors })
      const next = corrected(tensors, average, run.seen.at(-1)!.after.average)
      if (best === undefined || next.miss < best.miss) best = { run, miss: next.miss }
      tensors = next.tensors
    }
    if (best !== undefined && best.miss < tooFar) return best.run
    return yield* new NotRun({ why: "its first weights are not recorded, and none were found that lead to the checkpoint's average" })
  })

export const checkpointTrajectoryCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const trajectory = each as TrajectoryCase
    const recorded = directory.fixture(each.name)
    const end = yield* readEnd(directory)
    const run = yield* findRun(recorded, trajectory, end)
    const { model, moments } = run.seen.at(-1)!.after
    return [
      ...compareTrajectory(recorded, trajectory, run),
      ...compareWeights("checkpoint: ", model, end.weights),
      ...compareWeights("checkpoint: ", moments, end.moments)
    ]
  })

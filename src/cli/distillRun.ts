/**
 * Progressive distillation from a run file: round after round, each from the student of the one before.
 */
import { Clock, Effect, Layer, Stream } from "effect"
import { existsSync } from "node:fs"
import { keyed } from "../flow/Random.ts"
import { acquireRunLock, Checkpoint, type RunConfig, type RunLock } from "../io/index.ts"
import type { ElfWeights } from "../model/Network.ts"
import { Teacher } from "../model/Teacher.ts"
import { TrainState, type TrainStart } from "../model/TrainState.ts"
import { type DistillationRound, distillationRounds, roundCorruption, teacherWeights, teachOptions } from "../run/distillation.ts"
import { encoderLayer, tokenizerLayer } from "../run/encoder.ts"
import { type Fingerprints, fingerprints } from "../run/fingerprints.ts"
import { distillationLosses, heldOutBatches } from "../run/heldOut.ts"
import { type DistillationSection, planDistillation, type PlannedDistillation } from "../run/plan.ts"
import { readTrainSnapshot } from "../run/runCheckpoint.ts"
import { processOf } from "../run/sampling.ts"
import { averagedTensors } from "../run/weights.ts"
import { corrupt } from "../streams/corrupt.ts"
import type { PackPosition } from "../streams/Sequence.ts"
import { compose } from "../streams/Stage.ts"
import { teach } from "../streams/teach.ts"
import { report } from "./progress.ts"
import type { TrainPosition } from "./rollback.ts"
import { batchesOf, checkChanges, refuseUsedFolder, trainSteps, type TrainSummary } from "./trainSteps.ts"

/** A run file with its distillation section, and whether to go on from the latest checkpoint of its rounds. */
export interface DistillRequest {
  readonly run: RunConfig.RunConfig
  readonly section: DistillationSection
  readonly resume: boolean
  /** Go on although the run has changed since. */
  readonly acceptChanges?: boolean
}

/** What all rounds share: the lock on their folder, and what they depend on. */
interface Rounds {
  readonly section: PlannedDistillation
  readonly acceptChanges: boolean
  readonly teacher: ElfWeights
  readonly lock: RunLock
  readonly fingerprints: Fingerprints
}

/** What one round did; only its end is known of a round that was finished before a resume. */
export interface RoundSummary extends Pick<TrainSummary, "steps" | "checkpoint">, Partial<Omit<TrainSummary, "steps" | "checkpoint">> {
  readonly round: number
  readonly studentSteps: number
  readonly teacherSteps: number
}

/** What a finished distillation did. */
export interface DistillSummary {
  readonly rounds: ReadonlyArray<RoundSummary>
  /** Of this process. */
  readonly seconds: number
  /** The last round's. */
  readonly checkpoint: string
}

/** Where a round begins or goes on. */
interface Start extends TrainPosition {
  readonly from: TrainStart["from"]
}

/** What a round leaves to the next: its student, and where the data goes on. */
interface Ended {
  readonly summary: RoundSummary
  readonly checkpoint: Checkpoint.Checkpoint
}

const hasCheckpoint = ({ run }: DistillationRound) =>
  existsSync(run.checkpoint.directory)
    ? Effect.map(Checkpoint.list(run.checkpoint.directory), (found) => found.length > 0)
    : Effect.succeed(false)

const summaryOf = ({ number, studentSteps, teacherSteps }: DistillationRound, ended: TrainSummary | Pick<TrainSummary, "steps" | "checkpoint">): RoundSummary =>
  ({ round: number, studentSteps, teacherSteps, ...ended })

/** The teacher for the first round, the previous round's averaged weights for the others, which go on with its data. */
const freshStart = Effect.fnUntraced(function*({ run }: DistillationRound, teacher: ElfWeights, previous: Ended | undefined) {
  if (previous === undefined) return { from: teacher.tensors, step: 0, position: undefined } as Start
  const { resume: position } = previous.checkpoint.metadata as { readonly resume?: PackPosition }
  return { from: yield* averagedTensors(previous.checkpoint, run.model), step: 0, position } as Start
})

const resumedStart = Effect.fnUntraced(function*({ run }: DistillationRound, latest: Checkpoint.Checkpoint) {
  const { resume: position, snapshot: from } = yield* readTrainSnapshot(latest, run)
  yield* report(`resuming at step ${latest.step} of ${latest.path}`)
  return { from, step: latest.step, position } as Start
})

/** Trains the round's student, which is in scope, to its last step. */
const roundSteps = Effect.fnUntraced(function*({ fingerprints, lock, section }: Rounds, round: DistillationRound, { position, step }: Start) {
  const { run } = round
  const corruption = roundCorruption(round, section)
  const taught = teach({ ...teachOptions(round, section), source: keyed(run.seed) })
  const heldOut = yield* Stream.runCollect(taught(Stream.fromIterable(yield* heldOutBatches(run, corruption))))
  return yield* trainSteps({
    run,
    step,
    position,
    fingerprints,
    lock,
    prepare: compose(corrupt({ ...corruption, source: keyed(run.seed) }), taught),
    heldOutLoss: heldOut.length === 0 ? undefined : distillationLosses(heldOut)
  })
})

const distillFrom = (rounds: Rounds, round: DistillationRound, start: Start) => {
  const { model: config, optimizer } = round.run
  const state = TrainState.layer({ config, optimizer, from: start.from, process: processOf(round.run) })
  return Effect.scoped(roundSteps(rounds, round, start)).pipe(Effect.provide(state))
}

const runRound = Effect.fnUntraced(function*(rounds: Rounds, round: DistillationRound, count: number, previous: Ended | undefined) {
  const { number, run, studentSteps, teacherSteps } = round
  const latest = (yield* hasCheckpoint(round)) ? yield* Checkpoint.read(run.checkpoint.directory) : undefined
  if (latest !== undefined) yield* checkChanges(latest, run, rounds.fingerprints, rounds.acceptChanges)
  if (latest !== undefined && latest.step >= batchesOf(run)) {
    return { summary: summaryOf(round, { steps: latest.step, checkpoint: latest.path }), checkpoint: latest } as Ended
  }
  yield* report(`round ${number}/${count}: ${studentSteps} student steps, each for ${teacherSteps} of the teacher`)
  const start = latest === undefined ? yield* freshStart(round, rounds.teacher, previous) : yield* resumedStart(round, latest)
  const summary = summaryOf(round, yield* distillFrom(rounds, round, start))
  return { summary, checkpoint: yield* Checkpoint.read(run.checkpoint.directory) } as Ended
})

const runRounds = Effect.fnUntraced(function*(rounds: Rounds, all: ReadonlyArray<DistillationRound>) {
  const started = yield* Clock.currentTimeMillis
  const ended: Array<Ended> = []
  for (const round of all) ended.push(yield* runRound(rounds, round, all.length, ended.at(-1)))
  return {
    rounds: ended.map(({ summary }) => summary),
    seconds: ((yield* Clock.currentTimeMillis) - started) / 1000,
    checkpoint: ended.at(-1)!.checkpoint.path
  } as DistillSummary
})

/** Distils a run's teacher through all rounds and says what came of it. */
export const distillRun = Effect.fnUntraced(function*(request: DistillRequest) {
  const { acceptChanges = false, resume, run } = request
  const section = yield* planDistillation(run, request.section)
  const all = distillationRounds(run, section)
  const lock = yield* acquireRunLock(section.directory)
  if (!resume) yield* Effect.forEach(all, (round) => refuseUsedFolder(round.run.checkpoint.directory, "distillation.directory"), { discard: true })
  const teacher = yield* teacherWeights(run, section)
  const now = yield* fingerprints(run, section.teacher).pipe(Effect.provide(tokenizerLayer(run)))
  return yield* runRounds({ section, acceptChanges, teacher, lock, fingerprints: now }, all).pipe(
    Effect.provide(Layer.mergeAll(Teacher.layer(teacher), encoderLayer(run), tokenizerLayer(run)))
  )
}, Effect.scoped)

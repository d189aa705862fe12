/**
 * `train_*`: one training step from token ids to gradients, through the stages that production runs (dropLabels, embed,
 * batch, corrupt, selfCondition, then loss and gradients), and the passes that the reference records on the way.
 */
import { Effect, Layer, Option, Stream } from "effect"
import { Backend } from "../../../src/model/Backend.ts"
import { lossAndGradients } from "../../../src/model/Loss.ts"
import { Network } from "../../../src/model/Network.ts"
import { globalNorm } from "../../../src/model/Optimizer.ts"
import { corrupt, type CorruptedBatch } from "../../../src/streams/corrupt.ts"
import { embed, encoderMask } from "../../../src/streams/embed.ts"
import { batch, dropLabels, type LabelledSequence } from "../../../src/streams/index.ts"
import { selfCondition, type SelfConditionedBatch } from "../../../src/streams/selfCondition.ts"
import type { TrainableBatch } from "../../../src/streams/train.ts"
import type { Directory, Fixture, FixtureCase } from "../Directory.ts"
import type { Comparison, Finding, RunCase } from "../Finding.ts"
import { corruptionOptions, type CorruptionSettings, recordedStep, referenceEncoder, referenceWeights } from "../reference.ts"
import { lengthsOf, rowAt, rowsWhere, splitHalves } from "../rows.ts"
import type { Quantity } from "../tolerances.ts"
import { passFindings, squaredErrors, tokenCrossEntropies } from "./trainPasses.ts"

type TrainCase = FixtureCase<CorruptionSettings>

/** The recorded rows. Which labels are dropped is drawn where the draw is recorded, else taken from the record. */
export const sequencesOf = (recorded: Fixture, { config }: TrainCase) => {
  const length = recorded.shape("input_ids")[1]!
  const valid = lengthsOf(recorded.floats("attention_mask"), length)
  const conditions = lengthsOf(recorded.floats("cond_seq_mask"), length)
  const dropped = recorded.has("label_drop_mask") ? recorded.integers("label_drop_mask") : new Int32Array(valid.length)
  const rows = Stream.fromIterable(valid.map((count, index): LabelledSequence => ({
    ids: rowAt(recorded.integers("input_ids"), index, length),
    length: count,
    conditionLength: conditions[index]!,
    index,
    labelDropped: dropped[index] === 1
  })))
  return Stream.runCollect(
    recorded.has("label_drop_uniform") ? rows.pipe(dropLabels({ probability: config.label_drop_prob, source: recordedStep(recorded) })) : rows
  )
}

/** The encoder and the network of training cases. */
export const trainServices = (directory: Directory, { config }: TrainCase) =>
  Layer.merge(referenceEncoder(directory, config), Network.layer(referenceWeights(directory, "model")))

/** The batch before and after its first prediction. */
export const prepare = (recorded: Fixture, each: TrainCase) =>
  Effect.gen(function*() {
    const rows = yield* sequencesOf(recorded, each)
    const corrupted = yield* Stream.fromIterable(rows).pipe(
      embed({ batchSize: rows.length }),
      batch({ size: rows.length }),
      corrupt({ ...corruptionOptions(each.config), source: recordedStep(recorded) }),
      Stream.runHead,
      Effect.map(Option.getOrThrow)
    )
    const prepared = yield* Stream.make(corrupted).pipe(selfCondition, Stream.runHead, Effect.map(Option.getOrThrow))
    return { rows, corrupted, prepared }
  })

type Prepared = Effect.Success<ReturnType<typeof prepare>>

const exact = (array: string, actual: ArrayLike<number>, expected: ArrayLike<number>): Comparison => ({ array, quantity: "exact", actual, expected })

const maskFindings = (recorded: Fixture, { prepared, rows }: Prepared): ReadonlyArray<Finding> => {
  const mask = (each: ReadonlyArray<LabelledSequence>) =>
    encoderMask(each, prepared.length) ?? new Float32Array(prepared.size * prepared.length ** 2).fill(1)
  const uses = recorded.has("use_self_cond")
    ? recorded.floats("use_self_cond").map((use, row) => use * (1 - prepared.decoderActive[row]!))
    : undefined
  const ours: ReadonlyArray<readonly [string, ArrayLike<number>, expected?: ArrayLike<number> | undefined]> = [
    ["decoder_active", prepared.decoderActive],
    ["label_drop_mask", prepared.labelDropped],
    ["encoder_attention_mask", mask(rows.map((row) => ({ ...row, labelDropped: false })))],
    ["effective_encoder_attention_mask", mask(rows)],
    ["loss_mask", prepared.lossMask],
    ["use_self_cond", prepared.usesSelfCondition, uses]
  ]
  return ours.filter(([array]) => recorded.has(array)).map(([array, actual, expected]) => exact(array, actual, expected ?? recorded.floats(array)))
}

/** Numbers that only rows of one branch have: those rows on both sides, or nothing to compare. */
export const branchFinding = (recorded: Fixture, active: Uint8Array, array: string, actual: Float32Array, flag: 0 | 1, quantity: Quantity): Finding => {
  const branch = flag === 1 ? "decoder rows" : "denoiser rows"
  return active.includes(flag)
    ? { array, part: branch, quantity, actual: rowsWhere(actual, active, flag), expected: rowsWhere(recorded.floats(array), active, flag) }
    : { array, why: `the step has no ${branch}` }
}

const corruptionFindings = (recorded: Fixture, corrupted: CorruptedBatch, prepared: SelfConditionedBatch): ReadonlyArray<Finding> => {
  const active = prepared.decoderActive
  const near = (array: string, actual: Float32Array, expected = recorded.floats(array), part?: string): Finding =>
    ({ array, quantity: "corruption", actual, expected, ...(part === undefined ? {} : { part }) })
  const branch = (array: string, actual: Float32Array, flag: 0 | 1) => branchFinding(recorded, active, array, actual, flag, "corruption")
  const joined = () => splitHalves(recorded.floats("model_input"), prepared.width)
  const ours: Readonly<Record<string, () => ReadonlyArray<Finding>>> = {
    x0_encoded: () => [near("x0_encoded", prepared.latents)],
    t: () => [branch("t", prepared.t, 0)],
    t_mixed: () => [near("t_mixed", prepared.t)],
    w: () => [near("w", prepared.selfConditionScale!)],
    denoiser_z: () => [branch("denoiser_z", prepared.z, 0)],
    decoder_z: () => [branch("decoder_z", prepared.z, 1)],
    model_input: () => [near("model_input", prepared.z, joined()[0], "z"), near("model_input", prepared.selfCondition!, joined()[1], "self-condition")],
    v_base_target: () => [branch("v_base_target", corrupted.velocityTarget, 0)],
    v_final_target: () => [branch("v_final_target", prepared.velocityTarget, 0)]
  }
  return Object.entries(ours).filter(([array]) => recorded.has(array)).flatMap(([, find]) => find())
}

/** Losses, their gradients and the gradients' norm. */
export const lossesOf = (name: string, prepared: TrainableBatch) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const { elf } = yield* Network
    return yield* backend.kernel(name, () => {
      const { gradients, ...losses } = lossAndGradients(elf, prepared, prepared.timeEpsilon)
      const host = Object.entries(gradients).map(([key, value]) => [key, value.dataSync() as Float32Array] as const)
      return { losses, norm: globalNorm(gradients), gradients: new Map(host) }
    })
  })

/** Losses, gradients and their norm beside what is recorded of them. */
export const lossFindings = (recorded: Fixture, { gradients, losses, norm }: Effect.Success<ReturnType<typeof lossesOf>>): ReadonlyArray<Finding> => {
  const numbers: ReadonlyArray<readonly [string, number, Quantity]> = [
    ["loss", losses.loss, "loss"],
    ["l2_loss", losses.denoiserLoss, "loss"],
    ["ce_loss", losses.decoderLoss, "loss"],
    ["grad_norm", norm, "gradient"]
  ]
  return [
    ...numbers.filter(([array]) => recorded.has(array)).map(([array, actual, quantity]): Finding => ({ array, quantity, actual: [actual], expected: recorded.floats(array) })),
    ...recorded.group("grad.").map(({ data, name }): Finding => ({ array: `grad.${name}`, quantity: "gradient", actual: gradients.get(name) ?? [], expected: data }))
  ]
}

export const trainStepCase: RunCase = (directory, each) => {
  const train = each as TrainCase
  return Effect.gen(function*() {
    const recorded = directory.fixture(each.name)
    const step = yield* prepare(recorded, train)
    const { corrupted, prepared } = step
    const passes = yield* passFindings(recorded, corrupted)
    const perToken = (array: string, actual: Float32Array, flag: 0 | 1) =>
      recorded.has(array) ? [branchFinding(recorded, prepared.decoderActive, array, actual, flag, "loss")] : []
    return [
      ...maskFindings(recorded, step),
      ...corruptionFindings(recorded, corrupted, prepared),
      ...passes.found,
      ...perToken("l2_per_token", squaredErrors(passes.mixed, prepared), 0),
      ...perToken("ce_per_token", yield* tokenCrossEntropies(prepared), 1),
      ...lossFindings(recorded, yield* lossesOf(each.name, prepared))
    ]
  }).pipe(Effect.provide(trainServices(directory, train)))
}

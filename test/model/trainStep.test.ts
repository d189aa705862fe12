/**
 * One training step against the reference, from token ids to gradients, through the stages that production runs:
 * packPairs, embed, batch, corrupt, selfCondition, then loss and gradients.
 */
import * as tf from "@tensorflow/tfjs-core"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { tokenLosses } from "../../src/model/CrossEntropy.ts"
import { decoderHead, trunk } from "../../src/model/Elf.ts"
import { Backend } from "../../src/model/Backend.ts"
import { evaluateLosses, lossAndGradients } from "../../src/model/Loss.ts"
import { Network } from "../../src/model/Network.ts"
import { globalNorm } from "../../src/model/Optimizer.ts"
import { parameter } from "../../src/model/Parameters.ts"
import { corrupt } from "../../src/streams/corrupt.ts"
import { embed, encoderMask } from "../../src/streams/embed.ts"
import { batch, type LabelledSequence, type LatentBatch, packPairs, type Sequence } from "../../src/streams/index.ts"
import { selfCondition, type SelfConditionedBatch } from "../../src/streams/selfCondition.ts"
import { casesWith, type Fixture, fixture, fixtureCase } from "../support/fixtures.ts"
import { corruptionOptions, type CorruptionSettings, recordedStep, referenceEncoder, referenceNetwork } from "../support/reference.ts"
import { assertNear } from "../support/tolerances.ts"

const total = (values: Iterable<number>) => Array.from(values).reduce((a, b) => a + b, 0)

/** The recorded rows as sequences. */
const sequencesOf = (recorded: Fixture): ReadonlyArray<LabelledSequence> => {
  const [size, length] = recorded.shape("input_ids") as [number, number]
  const row = <T extends Float32Array | Int32Array>(values: T, index: number) => values.subarray(index * length, (index + 1) * length) as T
  return Array.from({ length: size }, (_, index) => ({
    ids: row(recorded.integers("input_ids"), index),
    length: total(row(recorded.floats("attention_mask"), index)),
    conditionLength: total(row(recorded.floats("cond_seq_mask"), index)),
    index,
    labelDropped: recorded.has("label_drop_mask") && recorded.integers("label_drop_mask")[index] === 1
  }))
}

/** What two halves joined along the channels hold. */
const splitHalves = (joined: Float32Array, width: number): readonly [Float32Array, Float32Array] => {
  const half = (offset: number) => joined.filter((_, i) => Math.floor(i / width) % 2 === offset)
  return [half(0), half(1)]
}

/** The rows of `values` whose flag is `flag`. */
const rowsWhere = (values: Float32Array, flags: Uint8Array, flag: number): Float32Array => {
  const size = values.length / flags.length
  return values.filter((_, i) => flags[Math.floor(i / size)] === flag)
}

describe("collate", () => {
  interface Row { readonly condition_input_ids?: ReadonlyArray<number>; readonly input_ids: ReadonlyArray<number> }

  interface Collated {
    readonly rows: ReadonlyArray<Row>
    readonly max_seq_length: number
    readonly max_input_seq_length: number | null
    readonly pad_token_id: number
  }

  const packed = (name: string) => {
    const { scalars } = fixtureCase<unknown, Collated>(name)
    const pairs = scalars.rows.map(({ condition_input_ids = [], input_ids }) => ({
      condition: Int32Array.from(condition_input_ids),
      target: Int32Array.from(input_ids)
    }))
    const options = { length: scalars.max_seq_length, maximumCondition: scalars.max_input_seq_length ?? 0, padId: scalars.pad_token_id }
    const embedded = Stream.map((row: Sequence) => ({ ...row, labelDropped: false, latents: new Float32Array(row.ids.length) }))
    return Stream.fromIterable(pairs).pipe(packPairs(options), embedded)
  }

  for (const name of casesWith("collate_")) {
    it.effect(`${name}: ids, masks and the encoder's mask`, () =>
      Effect.gen(function*() {
        const recorded = fixture(name)
        const rows = yield* Stream.runCollect(packed(name))
        const [collated] = (yield* packed(name).pipe(batch({ size: rows.length }), Stream.runCollect)) as [LatentBatch]
        assert.deepStrictEqual(collated.ids, recorded.integers("input_ids"))
        assert.deepStrictEqual(collated.attentionMask, recorded.floats("attention_mask"))
        assert.deepStrictEqual(collated.conditionMask, recorded.floats("cond_seq_mask"))
        assert.deepStrictEqual(encoderMask(rows, collated.length), recorded.floats("encoder_attention_mask"))
      }))
  }
})

const settings = fixtureCase<CorruptionSettings>("train_owt_mixed").config
const services = Layer.provideMerge(referenceEncoder(settings), referenceNetwork("model"))

layer(services)("train_step", (it) => {
  for (const name of casesWith("train_")) {
    const recorded = fixture(name)
    const options = corruptionOptions(fixtureCase<CorruptionSettings>(name).config)
    const width = recorded.shape("x0_encoded")[2]!
    const dropped = sequencesOf(recorded).filter(({ labelDropped }) => labelDropped).length

    const prepared = Stream.fromIterable(sequencesOf(recorded)).pipe(
      embed({ batchSize: 4 }),
      batch({ size: 4 }),
      corrupt({ ...options, source: recordedStep(recorded) }),
      selfCondition,
      Stream.runHead,
      Effect.map(Option.getOrThrow)
    )

    const assertCorrupted = (batch: SelfConditionedBatch) => {
      const active = Uint8Array.from(recorded.floats("decoder_active"))
      const [z, half] = splitHalves(recorded.floats("model_input"), width)
      const near = (actual: Float32Array, expected: Float32Array, what: string) => assertNear("corruption", actual, expected, `${name}: ${what}`)
      assert.deepStrictEqual(batch.decoderActive, active)
      near(batch.latents, recorded.floats("x0_encoded"), "latents")
      near(batch.z, z, "z")
      near(batch.selfCondition!, half, "self-condition")
      near(batch.t, recorded.floats("t_mixed"), "t")
      near(batch.selfConditionScale!, recorded.floats("w"), "w")
      assert.deepStrictEqual(batch.lossMask, recorded.floats("loss_mask"))
      const uses = recorded.floats("use_self_cond")
      assert.deepStrictEqual([...batch.usesSelfCondition], Array.from(uses, (use, row) => use * (1 - active[row]!)))
      if (active.includes(0)) {
        near(rowsWhere(batch.velocityTarget, active, 0), rowsWhere(recorded.floats("v_final_target"), active, 0), "target")
      }
    }

    it.effect(`${name}: noisy latents, self-condition, target`, () => Effect.map(prepared, assertCorrupted))

    it.effect(`${name}: losses, every recorded gradient, gradient norm`, () =>
      Effect.gen(function*() {
        const backend = yield* Backend
        const { elf } = yield* Network
        const batch = yield* prepared
        const before = yield* backend.live
        const result = yield* backend.kernel(name, () => {
          const { gradients, ...losses } = lossAndGradients(elf, batch, batch.timeEpsilon)
          const host = Object.entries(gradients).map(([key, value]) => [key, value.dataSync()] as const)
          return { losses, norm: globalNorm(gradients), gradients: new Map(host) }
        })
        assert.strictEqual(yield* backend.live, before, "live tensors")
        const { losses } = result
        assertNear("loss", [losses.loss], recorded.floats("loss"), `${name}: loss`)
        assertNear("loss", [losses.denoiserLoss], recorded.floats("l2_loss"), `${name}: denoiser loss`)
        assertNear("loss", [losses.decoderLoss], recorded.floats("ce_loss"), `${name}: decoder loss`)
        assertNear("gradient", [result.norm], recorded.floats("grad_norm"), `${name}: gradient norm`)
        assert.deepStrictEqual([...result.gradients.keys()], Object.keys(elf.parameters))
        const gradients = recorded.group("grad.")
        assert.isAtLeast(gradients.length, 15)
        for (const { data, name: key } of gradients) {
          assertNear("gradient", result.gradients.get(key)!, data, `${name}: gradient of ${key}`)
        }
        const evaluated = yield* backend.kernel("evaluate", () => evaluateLosses(elf, batch, batch.timeEpsilon))
        assertNear("loss", Object.values(evaluated), Object.values(losses), `${name}: losses without gradients`)
      }))

    if (recorded.has("ce_per_token")) {
      it.effect(`${name}: cross-entropy of each token of decoder rows`, () =>
        Effect.gen(function*() {
          const backend = yield* Backend
          const { elf } = yield* Network
          const batch = yield* prepared
          const tokens = yield* backend.kernel(name, () => {
            const shape: [number, number, number] = [batch.size, batch.length, batch.width]
            const stream = trunk(elf, {
              z: tf.tensor3d(batch.z, shape),
              selfCondition: tf.tensor3d(batch.selfCondition!, shape),
              t: tf.tensor1d(batch.t),
              selfConditionScale: tf.tensor1d(batch.selfConditionScale!),
              decoderGate: tf.tensor1d(Float32Array.from(batch.decoderActive))
            })
            const unembedding = {
              kernel: parameter<tf.Tensor2D>(elf.parameters, "unembed_kernel"),
              bias: parameter<tf.Tensor1D>(elf.parameters, "unembed_bias")
            }
            return tokenLosses(decoderHead(elf, stream), unembedding, tf.tensor1d(batch.ids, "int32"), 7).dataSync() as Float32Array
          })
          const decoder = (values: Float32Array) => rowsWhere(values, batch.decoderActive, 1)
          assertNear("loss", decoder(tokens), decoder(recorded.floats("ce_per_token")), `${name}: losses of tokens`)
        }))
    }

    it(`${name}: ${dropped} of its rows hide their condition`, () =>
      assert.strictEqual(dropped > 0, name.startsWith("train_cond")))
  }

  it.effect("a dropped label hides the condition from the encoder's other rows", () =>
    Effect.sync(() => {
      for (const name of ["train_owt_mixed", "train_cond_mixed"]) {
        const recorded = fixture(name)
        const mask = encoderMask(sequencesOf(recorded), recorded.shape("input_ids")[1]!)
        assert.deepStrictEqual(mask, recorded.floats("effective_encoder_attention_mask"))
      }
    }))
})

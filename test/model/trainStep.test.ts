/**
 * One training step against the reference, from token ids to gradients, through the stages that production runs:
 * packPairs, dropLabels, embed, batch, corrupt, selfCondition, then loss and gradients.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { lossesOf, prepare, sequencesOf, trainServices } from "../../bench/parity/cases/trainStep.ts"
import { Backend } from "../../src/model/Backend.ts"
import { evaluateLosses } from "../../src/model/Loss.ts"
import { Network } from "../../src/model/Network.ts"
import { testEngine } from "../support/backend.ts"
import { casesWith, directory, fixture, fixtureCase } from "../support/fixtures.ts"
import { assertCase } from "../support/parity.ts"
import type { CorruptionSettings } from "../support/reference.ts"
import { assertNear } from "../support/tolerances.ts"

layer(testEngine)("collate", (it) => {
  for (const name of casesWith("collate_")) {
    it.effect(`${name}: ids, masks and the encoder's mask`, () =>
      Effect.gen(function*() {
        const { rows } = yield* assertCase(name)
        assert.sameMembers(rows.map(({ array }) => array), ["input_ids", "attention_mask", "cond_seq_mask", "encoder_attention_mask"])
      }))
  }
})

layer(testEngine)("train_step", (it) => {
  for (const name of casesWith("train_")) {
    const recorded = fixture(name)
    const each = fixtureCase<CorruptionSettings>(name)

    it.effect(`${name}: noisy latents, self-condition, target, losses, every recorded gradient, gradient norm`, () =>
      Effect.gen(function*() {
        const { rows } = yield* assertCase(name)
        const arrays = rows.map(({ array }) => array)
        assert.includeMembers(arrays, ["decoder_active", "x0_encoded", "model_input", "t_mixed", "w", "loss_mask", "use_self_cond", "loss", "l2_loss", "ce_loss", "grad_norm"])
        assert.isAtLeast(arrays.filter((array) => array.startsWith("grad.")).length, 15)
        assert.strictEqual(arrays.includes("v_final_target"), recorded.floats("decoder_active").includes(0))
        if (name.endsWith("_mixed")) assert.includeMembers(arrays, ["ce_per_token", "effective_encoder_attention_mask"])
      }))

    it.effect(`${name}: a gradient for every parameter, the same losses without gradients, nothing left on the device`, () =>
      Effect.gen(function*() {
        const backend = yield* Backend
        const { elf } = yield* Network
        const { prepared } = yield* prepare(recorded, each)
        const before = yield* backend.live
        const { gradients, losses } = yield* lossesOf(name, prepared)
        assert.strictEqual(yield* backend.live, before, "live tensors")
        assert.deepStrictEqual([...gradients.keys()], Object.keys(elf.parameters))
        const evaluated = yield* backend.kernel("evaluate", () => evaluateLosses(elf, prepared, prepared.timeEpsilon))
        assertNear("loss", Object.values(evaluated), Object.values(losses), `${name}: losses without gradients`)
      }).pipe(Effect.provide(trainServices(directory, each))))

    it.effect(`${name}: rows hide their condition if it has conditions`, () =>
      Effect.map(sequencesOf(recorded, each), (rows) =>
        assert.strictEqual(rows.some(({ labelDropped }) => labelDropped), name.startsWith("train_cond"))))
  }
})

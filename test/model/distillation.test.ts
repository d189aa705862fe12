/**
 * One training step of distillation against the reference, from recorded latents to gradients, through the stages that
 * production runs: corrupt, teach, then loss and gradients.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { type DistillationSettings, distillationServices, taughtBatch } from "../../bench/parity/cases/distillation.ts"
import { lossesOf } from "../../bench/parity/cases/trainStep.ts"
import { Backend } from "../../src/model/Backend.ts"
import { evaluateLosses } from "../../src/model/Loss.ts"
import { Network } from "../../src/model/Network.ts"
import { testEngine } from "../support/backend.ts"
import { casesWith, directory, fixture, fixtureCase } from "../support/fixtures.ts"
import { assertCase } from "../support/parity.ts"
import { assertNear } from "../support/tolerances.ts"

const cases = casesWith("distill_").filter((name) => name !== "distill_models")

layer(testEngine)("distill_train_step", (it) => {
  it.effect("five cases, of one student and one teacher", () =>
    Effect.gen(function*() {
      assert.isAtLeast(cases.length, 5)
      yield* assertCase("distill_models")
    }))

  for (const name of cases) {
    it.effect(`${name}: times, noisy latents, self-condition, the teacher's target, losses, every recorded gradient`, () =>
      Effect.gen(function*() {
        const { rows } = yield* assertCase(name)
        const arrays = rows.map(({ array }) => array)
        assert.includeMembers(arrays, ["decoder_active", "t_s", "t_t", "w", "z_t_s", "sc_half", "model_input", "target_pd", "x_pred", "loss", "l2_loss", "ce_loss", "grad_norm"])
        assert.strictEqual(arrays.includes("sub_step_times"), name !== "distill_k1_s4")
        assert.isAtLeast(arrays.filter((array) => array.startsWith("grad.")).length, name === "distill_k4_s16" ? 45 : 6)
      }))
  }

  it.effect("a gradient for every parameter, the same losses without gradients, nothing left on the device", () =>
    Effect.gen(function*() {
      const name = "distill_cond_k3"
      const backend = yield* Backend
      const { elf } = yield* Network
      const before = yield* backend.live
      const taught = yield* taughtBatch(fixture(name), fixtureCase<DistillationSettings>(name))
      const { gradients, losses } = yield* lossesOf(name, taught)
      const evaluated = yield* backend.kernel("evaluate", () => evaluateLosses(elf, taught, taught.timeEpsilon))
      assert.strictEqual(yield* backend.live, before, "live tensors")
      assert.deepStrictEqual([...gradients.keys()], Object.keys(elf.parameters))
      assertNear("loss", Object.values(evaluated), Object.values(losses), "losses without gradients")
    }).pipe(Effect.provide(distillationServices(directory))))
})

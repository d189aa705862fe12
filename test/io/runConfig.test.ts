import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { RunConfig } from "../../src/io/index.ts"
import { presets } from "../../src/model/ModelConfig.ts"
import { check } from "../support/prop.ts"
import { inFolder } from "./support.ts"

const least = {
  model: { preset: "ELF-B" },
  encoder: { name: "t5-small" },
  data: { train: "train.parquet" },
  optimizer: { steps: 10 }
}

const problems = (input: unknown) => Effect.map(Effect.flip(RunConfig.decode(input, "run.yaml")), (error) => error.problems)

describe("decode", () => {
  it.effect("fills in the defaults of the published OpenWebText runs", () =>
    Effect.gen(function*() {
      const { flow, model, optimizer, encoder, data, sample, seed } = yield* RunConfig.decode(least)
      assert.deepStrictEqual(model, { preset: "ELF-B", ...presets["ELF-B"] })
      assert.deepStrictEqual(encoder, { kind: "t5", name: "t5-small", latentMean: 0, latentStandardDeviation: 0.2 })
      assert.deepStrictEqual(flow, {
        timeDistribution: { kind: "logitNormal", mean: -1.5, standardDeviation: 0.8 },
        noiseScale: 2,
        timeEpsilon: 0.05,
        decoderProbability: 0.2,
        decoderNoiseScale: 5,
        decoderTime: { mean: 0.8, standardDeviation: 0.8 },
        selfConditionProbability: 0.5,
        selfConditionScale: { minimum: 0.5, maximum: 5 }
      })
      assert.deepInclude(optimizer, { kind: "muon", learningRate: 0.002, schedule: "constant", clipNorm: 1, emaDecay: 0.9999, weightDecay: 0 })
      assert.deepInclude(data, { column: "text", padding: "pad", batchSize: 512, labelDropProbability: 0 })
      assert.deepInclude(sample, { steps: 32, solver: "sde", gamma: 1.5, selfConditionScale: 3, guidanceScale: 1 })
      assert.strictEqual(seed, 42)
    }))
  it.effect("fills in the published curriculum where there is a distillation section", () =>
    Effect.gen(function*() {
      assert.isUndefined((yield* RunConfig.decode(least)).distillation)
      const { distillation } = yield* RunConfig.decode({ ...least, distillation: { teacher: "run", stepsPerRound: 5 } })
      const { rounds, ...rest } = distillation!
      assert.deepStrictEqual(rounds.map(({ studentSteps, teacherSteps }) => [studentSteps, teacherSteps]), [[16, 4], [8, 8], [4, 16], [2, 32], [1, 64]])
      assert.deepStrictEqual(rest, {
        teacher: "run", stepsPerRound: 5, warmupSteps: 0, decoderProbability: 0.2, studentTimes: "logitNormal", teacherTimes: "logitNormal", directory: "distilled"
      })
    }))
  it.effect("problems of a distillation section name the round", () =>
    Effect.gen(function*() {
      const distillation = { teacher: "run", stepsPerRound: 5, rounds: [{ studentSteps: 2, teacherSteps: 1 }, { studentSteps: 0, teacherStep: 1 }] }
      assert.sameMembers([...(yield* problems({ ...least, distillation }))], [
        "distillation.rounds[1].studentSteps: expected a number greater than or equal to 1, found 0",
        "distillation.rounds[1].teacherStep: unknown key \"teacherStep\" in distillation.rounds[1]; did you mean \"teacherSteps\"?",
        "distillation.rounds[1].teacherSteps: this key must be given"
      ])
      assert.deepStrictEqual([...(yield* problems({ ...least, distillation: { teacher: "run", stepsPerRound: 5, warmupSteps: 6, rounds: [] } }))], ["distillation.rounds: the list is empty"])
      assert.deepStrictEqual([...(yield* problems({ ...least, distillation: { teacher: "run", stepsPerRound: 5, warmupSteps: 6 } }))], [
        "distillation.warmupSteps: 6 is more than distillation.stepsPerRound, 5"
      ])
      assert.deepStrictEqual([...(yield* problems({ ...least, distillation: { teacher: "run" } }))], [
        "distillation.stepsPerRound: this key must be given, or distillation.epochsPerRound instead"
      ])
      assert.strictEqual((yield* RunConfig.decode({ ...least, distillation: { teacher: "run", epochsPerRound: 0.5, warmupSteps: 6 } })).distillation!.epochsPerRound, 0.5)
    }))
  it.effect("a decoded configuration decodes to itself", () =>
    check([fc.integer(), fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom("ELF-B", "ELF-M", "ELF-L")], (seed, share, preset) =>
      Effect.gen(function*() {
        const config = yield* RunConfig.decode({ ...least, seed, model: { preset }, flow: { decoderProbability: share } })
        assert.deepStrictEqual(yield* RunConfig.decode(config), config)
      })))
  it.effect("a run without an encoder has the reference's, by its name", () =>
    Effect.gen(function*() {
      const { encoder: _, ...without } = least
      for (const input of [without, { ...least, encoder: {} }, { ...least, encoder: { revision: "main" } }]) {
        assert.strictEqual((yield* RunConfig.decode(input)).encoder.name, "t5-small")
      }
      assert.isUndefined((yield* RunConfig.decode({ ...least, encoder: { path: "mine" } })).encoder.name)
    }))
  it.effect("sizes beside a preset win", () =>
    Effect.map(RunConfig.decode({ ...least, model: { preset: "ELF-M", depth: 2 } }), ({ model }) =>
      assert.deepInclude(model, { hidden: 1056, heads: 16, depth: 2 })))
  it.effect("every problem has its sentence, all at once", () =>
    Effect.gen(function*() {
      const found = yield* problems({
        leaningRate: 3,
        flows: {},
        model: { hiden: 3, hidden: 64, depth: "2", heads: 4 },
        encoder: { name: "t5-small" },
        data: { train: [], labelDropProbability: null, batchSize: 2.5 },
        flow: { timeDistribution: { kind: "logitNormal", mean: "x", men: 3 }, decoderProbability: 1.5 },
        optimizer: { kind: "sgd", steps: 0, beta1: 1, noiseScale: 3 },
        sample: []
      })
      assert.sameMembers([...found], [
        "leaningRate: unknown key \"leaningRate\"; did you mean optimizer.learningRate?",
        "flows: unknown key \"flows\"; did you mean \"flow\"?",
        "model.hiden: unknown key \"hiden\" in model; did you mean \"hidden\"?",
        "model.depth: expected number, found the text \"2\"",
        "data.train: the list is empty",
        "data.labelDropProbability: expected number, found nothing (null)",
        "data.batchSize: expected an integer, found 2.5",
        "flow.timeDistribution.men: unknown key \"men\" in flow.timeDistribution; did you mean \"mean\"?",
        "flow.timeDistribution.mean: expected number, found the text \"x\"",
        "flow.decoderProbability: expected a number between 0 and 1, found 1.5",
        "optimizer.kind: expected \"muon\" | \"adamw\", found the text \"sgd\"",
        "optimizer.steps: expected a number greater than or equal to 1, found 0",
        "optimizer.beta1: expected a number between 0 and 1 (excluded), found 1",
        "optimizer.noiseScale: unknown key \"noiseScale\" in optimizer; it belongs at flow.noiseScale",
        "sample: expected section, found a list"
      ])
    }))
  it.effect("keys that must be given, and what is no run file at all", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual<unknown>(yield* problems({ model: {} }), [
        "model.hidden: this key must be given",
        "model.depth: this key must be given",
        "model.heads: this key must be given",
        "data: this key must be given",
        "optimizer: this key must be given"
      ])
      assert.deepStrictEqual<unknown>(yield* problems({ ...least, optimizer: {} }), [
        "optimizer.steps: this key must be given, or data.epochs instead"
      ])
      assert.deepStrictEqual<unknown>(yield* problems({ ...least, sample: { churn: 1, length: 9999 } }), [
        "sample.churn: sde has a churn of its own, sample.gamma; choose another solver or leave churn out",
        "sample.length: 9999 is more than model.length, 1024"
      ])
      assert.deepStrictEqual<unknown>(yield* problems({ ...least, sample: { solver: "rk4" } }), [
        "sample.solver: expected \"sde\" | \"ode\" | \"heun\" | \"midpoint\" | \"ab2\", found the text \"rk4\""
      ])
      assert.deepStrictEqual<unknown>(yield* problems({ ...least, model: { preset: "ELF-X" } }), [
        "model.preset: expected \"ELF-B\" | \"ELF-M\" | \"ELF-L\", found the text \"ELF-X\""
      ])
      for (const input of [null, "x", 3, []]) {
        assert.match((yield* Effect.flip(RunConfig.decode(input, "run.yaml"))).message, /^run\.yaml: the run file: expected section, found/)
      }
    }))
  it.effect("what keys must fulfil together", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [object, string]> = [
        [{ model: { hidden: 60, depth: 1, heads: 7 } }, "do not divide"],
        [{ model: { hidden: 60, depth: 1, heads: 4 } }, "a head of 15 is odd"],
        [{ encoder: { name: "a", path: "b" } }, "not both"],
        [{ encoder: { path: "b", revision: "main" } }, "a folder has no revisions"],
        [{ data: { train: "x", condition: { minimum: 9, maximum: 8 } } }, "data.condition.minimum"],
        [{ data: { train: "x", condition: { probability: 0.5, maximum: 1024 } } }, "leaves nothing to write"],
        [{ data: { train: "x", conditionColumn: "c", condition: { maximum: 1024 } } }, "leaves nothing to write"],
        [{ flow: { selfConditionScale: { minimum: 6 } } }, "flow.selfConditionScale.minimum"],
        [{ optimizer: { steps: 5, warmupSteps: 6 } }, "optimizer.warmupSteps"],
        [{ optimizer: { steps: 5, minimumLearningRate: 1 } }, "optimizer.minimumLearningRate"]
      ]
      for (const [change, words] of cases) {
        const found = yield* problems({ ...least, ...change })
        assert.strictEqual(found.length, 1, words)
        assert.include(found[0], words)
      }
    }))
  it("every key is described, and every default is the one that decoding fills in", () => {
    const distillation = { teacher: "run", stepsPerRound: 1 }
    const config = Effect.runSync(RunConfig.decode({ ...least, distillation })) as unknown as Record<string, unknown>
    for (const { place, description, default: value } of RunConfig.describe()) {
      assert.match(description, /[.;]?.*\.$/, place)
      if (value === undefined || place === "flow.timeDistribution") continue
      const found = place.split(".").reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], config)
      assert.strictEqual(JSON.stringify(found), value, place)
    }
  })
})

describe("load", () => {
  const yaml = [
    "model: { preset: ELF-B, depth: 2 }",
    "encoder: { path: ../encoder }",
    "data: { train: [a.parquet, /data/*.parquet], heldOut: b }",
    "optimizer: { steps: 10, learningRate: 1e-3 }",
    "log: { file: out/metrics.jsonl }",
    ""
  ].join("\n")
  it.effect("YAML and JSON say the same, and relative paths begin at the file's folder", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        writeFileSync(join(folder, "run.yaml"), yaml)
        const config = yield* RunConfig.load(join(folder, "run.yaml"))
        assert.strictEqual(config.encoder.path, join(folder, "..", "encoder"))
        assert.deepStrictEqual(config.data.train, [join(folder, "a.parquet"), "/data/*.parquet"])
        assert.strictEqual(config.data.heldOut, join(folder, "b"))
        assert.strictEqual(config.checkpoint.directory, join(folder, "checkpoints"))
        assert.strictEqual(config.log.file, join(folder, "out/metrics.jsonl"))
        assert.strictEqual(config.optimizer.learningRate, 0.001)
        writeFileSync(join(folder, "run.json"), JSON.stringify(config))
        assert.deepStrictEqual(yield* RunConfig.load(join(folder, "run.json")), config)
      })))
  it.effect("files that cannot be read, parsed or told apart", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const bomb = `a: &a [x, x]\n${Array.from({ length: 30 }, (_, i) => `b${i}: [*a, *a, *a]`).join("\n")}`
        const cases: Record<string, readonly [string | undefined, RegExp]> = {
          "none.json": [undefined, /ENOENT/],
          "run.toml": ["", /ends in \.json, \.yaml or \.yml/],
          "cut.json": ["{\"seed\": 1", /no JSON/],
          "twice.json": ["{\"seed\": 1, \"seed\": 2}", /"seed" is given twice/],
          "twice.yaml": ["seed: 1\nseed: 2\n", /unique at line 2/],
          "open.yml": ["x: [", /no YAML/],
          "bomb.yaml": [bomb, /no YAML/],
          "empty.yaml": ["", /expected section/]
        }
        for (const [name, [text, words]] of Object.entries(cases)) {
          if (text !== undefined) writeFileSync(join(folder, name), text)
          const error = yield* Effect.flip(RunConfig.load(join(folder, name)))
          assert.strictEqual(error._tag, "RunConfigError")
          assert.include(error.message, join(folder, name))
          assert.match(error.message, words)
        }
      })))
})

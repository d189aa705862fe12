/** The presets against `reference-runs.json`: every key of the reference's run and sampling files, as they ship. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { RunConfig } from "../../src/io/index.ts"
import { feedForwardInner, headSize, parameterCount } from "../../src/model/ModelConfig.ts"
import { inFolder } from "./support.ts"

interface ReferenceRun {
  readonly source: string
  readonly values: Readonly<Record<string, unknown>>
  readonly sampling: ReadonlyArray<Readonly<Record<string, unknown>>>
}

const reference = JSON.parse(readFileSync(join(import.meta.dirname, "reference-runs.json"), "utf8")) as Record<RunConfig.RunPreset, ReferenceRun>

const timeNames: Readonly<Record<string, string>> = { logitNormal: "logit_normal", uniform: "uniform" }

const logitNormal = ({ flow: { timeDistribution: law } }: RunConfig.RunConfig) => {
  assert(law.kind === "logitNormal")
  return law
}

const updateRows = ({ data, optimizer }: RunConfig.RunConfig): number => data.batchSize * optimizer.gradientAccumulation

/** What a run of ours says where the reference says `key`. */
const ours: Readonly<Record<string, (run: RunConfig.RunConfig) => unknown>> = {
  seed: ({ seed }) => seed,
  max_length: ({ model }) => model.length,
  max_input_length: ({ data }) => data.condition.maximum,
  pad_token: ({ data }) => data.padding,
  label_drop_prob: ({ data }) => data.labelDropProbability,
  latent_mean: ({ encoder }) => encoder.latentMean,
  latent_std: ({ encoder }) => encoder.latentStandardDeviation,
  model: ({ model }) => model.preset,
  bottleneck_dim: ({ model }) => model.bottleneck,
  num_time_tokens: ({ model }) => model.timeTokens,
  num_self_cond_cfg_tokens: ({ model }) => model.selfConditionScaleTokens,
  num_model_mode_tokens: ({ model }) => model.modeTokens,
  denoiser_p_mean: (run) => logitNormal(run).mean,
  denoiser_p_std: (run) => logitNormal(run).standardDeviation,
  time_schedule: (run) => timeNames[logitNormal(run).kind],
  denoiser_noise_scale: ({ flow }) => flow.noiseScale,
  t_eps: ({ flow }) => flow.timeEpsilon,
  decoder_prob: ({ distillation, flow }) => {
    if (distillation !== undefined) assert.strictEqual(distillation.decoderProbability, flow.decoderProbability)
    return flow.decoderProbability
  },
  decoder_noise_scale: ({ flow }) => flow.decoderNoiseScale,
  decoder_p_mean: ({ flow }) => flow.decoderTime.mean,
  decoder_p_std: ({ flow }) => flow.decoderTime.standardDeviation,
  self_cond_prob: ({ flow }) => flow.selfConditionProbability,
  self_cond_cfg_min: ({ flow }) => flow.selfConditionScale.minimum,
  self_cond_cfg_max: ({ flow }) => flow.selfConditionScale.maximum,
  global_batch_size: updateRows,
  blr: ({ optimizer }) => optimizer.baseLearningRate,
  weight_decay: ({ optimizer }) => optimizer.weightDecay,
  optimizer: ({ optimizer }) => optimizer.kind,
  ema_decay1: ({ optimizer }) => optimizer.emaDecay,
  log_freq: ({ log }) => log.every,
  pd_student_schedule: ({ distillation }) => timeNames[distillation!.studentTimes],
  pd_teacher_schedule: ({ distillation }) => timeNames[distillation!.teacherTimes],
  pd_teacher_steps: ({ distillation }) => distillation!.rounds[0].teacherSteps,
  pd_step_size: ({ distillation }) => 1 / distillation!.rounds[0].studentSteps
}

/** Of the runs that do not train by rounds. */
const ofEpochs: typeof ours = {
  output_dir: ({ checkpoint }) => checkpoint.directory,
  epochs: ({ data }) => data.epochs,
  warmup_epochs: ({ optimizer }) => optimizer.warmupEpochs,
  warmup_steps: ({ optimizer: { warmupEpochs, warmupSteps } }) => warmupEpochs !== undefined && warmupSteps === 0 ? -1 : warmupSteps
}

/** Keys without a counterpart, and why. */
const leftOut: Readonly<Record<string, string>> = {
  data_path: "a data set of the hub, tokenised; the run file names its own parquet files",
  eval_data_path: "as data_path",
  encoder_model_name: "the run file names the encoder; its width is checked",
  sampling_configs_path: "the samplers themselves are compared",
  num_samples: "a number of evaluation samples, not of texts to show",
  save_freq: "in epochs; checkpoint.every counts steps",
  eval_freq: "in epochs; log.heldOutEvery counts steps",
  hf_repo_id: "nothing is uploaded",
  resume: "an option of the command",
  use_wandb: "no such service",
  wandb_project: "no such service",
  wandb_entity: "no such service",
  wandb_run_name: "no such service",
  teacher_path: "the run file names the teacher",
  initialize_student_from_teacher: "always so in the first round",
  teacher_use_ema: "always so",
  student_init_from_checkpoint: "always so from the second round on"
}

const ofRounds: Readonly<Record<string, string>> = {
  output_dir: "of one round; the folder of all is its parent",
  warmup_steps: "-1: by epochs"
}

const samplerOf = ({ sample }: RunConfig.RunConfig) => ({
  sampling_method: sample.solver,
  steps: sample.steps,
  cfg: sample.guidanceScale,
  ...(sample.solver === "sde" ? { sde_gamma: sample.gamma } : {}),
  self_cond_cfg_scale: sample.selfConditionScale,
  time_schedule: timeNames[sample.timeGrid]
})

/** The samplers that a sampling file stands for: each of its lists is a sweep. */
const samplersIn = (entries: ReferenceRun["sampling"]) =>
  entries.flatMap(({ cfgs, num_sampling_steps, self_cond_cfg_scales, ...rest }) =>
    (num_sampling_steps as Array<number>).flatMap((steps) =>
      (cfgs as Array<number>).flatMap((cfg) =>
        (self_cond_cfg_scales as Array<number>).map((scale) => ({ ...rest, steps, cfg, self_cond_cfg_scale: scale })))))

/** Of a round. */
const ofOneRound: typeof ours = {
  epochs: ({ distillation }) => distillation!.epochsPerRound,
  warmup_epochs: ({ distillation }) => distillation!.warmupEpochs
}

/** What a run file must add to a preset. */
const own = {
  encoder: { path: "t5-small" },
  data: { train: "train.parquet" }
}

const distilled = { ...own, distillation: { teacher: "teacher" } }

const runOf = (name: RunConfig.RunPreset) => RunConfig.decode({ extends: name, ...(name.endsWith("few-step") ? distilled : own) })

const sizes: Readonly<Record<string, readonly [parameters: number, head: number, inner: number]>> = {
  "ELF-B": [104_579_940, 64, 2048],
  "ELF-M": [342_540_036, 66, 2816],
  "ELF-L": [652_103_332, 80, 3413]
}

describe.each(RunConfig.presetNames)("%s", (name) => {
  const { sampling, values } = reference[name]

  it.effect("says what the reference's file says, key by key", () =>
    Effect.gen(function*() {
      const run = yield* runOf(name)
      const [mapped, without] = run.distillation === undefined ? [{ ...ours, ...ofEpochs }, leftOut] : [{ ...ours, ...ofOneRound }, { ...leftOut, ...ofRounds }]
      for (const [key, value] of Object.entries(values)) {
        if (Object.hasOwn(without, key)) continue
        assert.isDefined(mapped[key], `${key} is neither compared nor left out for a reason`)
        assert.strictEqual(mapped[key]!(run), value, key)
      }
    }))

  it.effect("samples as one of the reference's samplers does", () =>
    Effect.gen(function*() {
      assert.deepInclude(samplersIn(sampling), samplerOf(yield* runOf(name)))
    }))

  it.effect("has the reference's size and learning rate, and the defaults that its files do not repeat", () =>
    Effect.gen(function*() {
      const { flow, model, optimizer } = yield* runOf(name)
      assert.deepStrictEqual([parameterCount(model), headSize(model), feedForwardInner(model)] as const, sizes[model.preset!])
      assert.strictEqual(optimizer.learningRate, 0.002)
      // `configs/config.py`
      assert.deepInclude(optimizer, { schedule: "constant", minimumLearningRate: 0, beta1: 0.9, beta2: 0.95 })
      assert.deepStrictEqual(flow.selfConditionScale, { minimum: 0.5, maximum: 5 })
      // `train_step.py`
      assert.strictEqual(optimizer.clipNorm, 1)
    }))
})

describe("the published sampler of each OpenWebText size", () => {
  it.effect.each([["owt-b", 32, 1.5], ["owt-m", 64, 1], ["owt-l", 64, 1]] as const)("%s: %d steps, gamma %d", ([name, steps, gamma]) =>
    Effect.map(runOf(name), ({ sample }) => assert.deepInclude(sample, { steps, gamma, selfConditionScale: 3 })))
})

describe("the rounds of owt-b-few-step", () => {
  it.effect("halve the student's steps and keep the teacher's", () =>
    Effect.map(runOf("owt-b-few-step"), ({ distillation }) => {
      const rounds = distillation!.rounds.map(({ studentSteps, teacherSteps }) => [studentSteps, teacherSteps])
      assert.deepStrictEqual(rounds, [[16, 4], [8, 8], [4, 16], [2, 32], [1, 64]])
    }))
})

describe("extends", () => {
  it.effect("what a file says itself wins, key by key; what it leaves out is the preset's", () =>
    Effect.gen(function*() {
      const run = yield* RunConfig.decode({
        ...own,
        extends: "wmt14-de-en",
        seed: 7,
        data: { ...own.data, batchSize: 8, conditionColumn: "source" },
        flow: { timeDistribution: { kind: "uniform" } },
        optimizer: { gradientAccumulation: 4, warmupSteps: 10 }
      })
      assert.strictEqual(run.seed, 7)
      assert.deepInclude(run.data, { train: "train.parquet", conditionColumn: "source", column: "en", padding: "eos", batchSize: 8 })
      assert.deepStrictEqual(run.flow.timeDistribution, { kind: "uniform" })
      assert.strictEqual(run.flow.decoderNoiseScale, 1)
      assert.deepInclude(run.optimizer, { warmupSteps: 10, gradientAccumulation: 4, emaDecay: 0.9999 })
      assert.closeTo(run.optimizer.learningRate, (0.001 * 8 * 4) / 256, 1e-12)
    }))

  it.effect("a learning rate of its own wins over the base rate", () =>
    Effect.map(RunConfig.decode({ ...own, extends: "owt-b", optimizer: { learningRate: 0.01 } }), ({ optimizer }) =>
      assert.strictEqual(optimizer.learningRate, 0.01)))

  it.effect("a decoded preset decodes to itself, without the name", () =>
    Effect.gen(function*() {
      const run = yield* RunConfig.decode({ ...own, extends: "xsum" })
      assert.isUndefined(run.extends)
      assert.deepStrictEqual(yield* RunConfig.decode(run), run)
    }))

  it.effect("an unknown name, and what a preset leaves to the file", () =>
    Effect.gen(function*() {
      const unknown = yield* Effect.flip(RunConfig.decode({ ...own, extends: "owt-x", model: { preset: "ELF-B" }, optimizer: {} }))
      assert.lengthOf(unknown.problems, 1)
      assert.match(unknown.problems[0], /^extends: expected "owt-b" \| .*found the text "owt-x"$/)
      const bare = yield* Effect.flip(RunConfig.decode({ extends: "owt-b" }))
      assert.deepStrictEqual<unknown>(bare.problems, ["data.train: this key must be given"])
    }))

  it.effect("a file that extends one loads, its paths beginning at its own folder", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "run.yaml")
        writeFileSync(path, "extends: owt-m\nencoder: { path: t5 }\ndata: { train: \"*.parquet\" }\n")
        const run = yield* RunConfig.load(path)
        assert.strictEqual(run.data.train, join(folder, "*.parquet"))
        assert.strictEqual(run.checkpoint.directory, join(folder, "outputs/elf_m-owt"))
        assert.strictEqual(run.model.hidden, 1056)
      })))
})

/**
 * Checkpoints from this library to the reference and back, through `elf convert` and the reference's own code:
 * `npm run interchange -- --checkout DIR [--python PATH]`, DIR being `src` of the reference's branch `pytorch_elf`.
 *
 * There: the network that ships, loaded by the reference's class ELF with `strict=True`, says what it says here. Back: a
 * checkpoint of the reference's save_checkpoint after three of its training steps says here what it says there, one more
 * update with given gradients leads to the same weights, and `elf train --resume` goes on from it. Needs `npm run corpus`
 * first. Exit code 0: all of it holds.
 */
import { Console, Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Backend, type ModelConfig } from "../../src/index.ts"
import { type Comparison, judge } from "../parity/Finding.ts"
import { compareForward, compareNextUpdate, writeInputs } from "./compare.ts"
import { loadFolder } from "./networks.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const folder = join(root, "out/interchange")
const inFolder = (name: string): string => join(folder, name)

const { values: { checkout, python } } = parseArgs({ options: { checkout: { type: "string" }, python: { type: "string", default: "python3" } } })
if (checkout === undefined) throw new Error("name the reference's folder src: --checkout DIR")

const call = (program: string, parameters: ReadonlyArray<string>): void => {
  const { error, status } = spawnSync(program, parameters, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
  if (status !== 0) throw new Error(`${program} ${parameters.join(" ")}: ${error?.message ?? `exit code ${status}`}`)
}

const elf = (...parameters: ReadonlyArray<string>): void => call(process.execPath, [join(root, "src/cli.ts"), ...parameters])
const reference = (command: string, ...parameters: ReadonlyArray<string>): void =>
  call(python, [fileURLToPath(new URL("reference.py", import.meta.url)), command, checkout, ...parameters])

/** The sizes of a network as the arguments of the reference's class. */
const settingsOf = (config: ModelConfig.ModelConfig) => ({
  text_encoder_dim: config.textWidth,
  max_length: config.length,
  hidden_size: config.hidden,
  depth: config.depth,
  num_heads: config.heads,
  bottleneck_dim: config.bottleneck,
  num_time_tokens: config.timeTokens,
  num_self_cond_cfg_tokens: config.selfConditionScaleTokens,
  num_model_mode_tokens: config.modeTokens,
  vocab_size: config.vocabulary
})

const writeSettings = (name: string, config: ModelConfig.ModelConfig): string => {
  const path = inFolder(name)
  writeFileSync(path, JSON.stringify(settingsOf(config)))
  return path
}

const there = Effect.fnUntraced(function*() {
  const shipped = join(root, "models/elf-sotu")
  const { config, model } = yield* loadFolder(shipped)
  const settings = writeSettings("there.json", config)
  yield* writeInputs(inFolder("there-inputs.safetensors"), config)
  elf("convert", shipped, inFolder("there.safetensors"), "--to", "torch")
  reference("forward", settings, inFolder("there.safetensors"), inFolder("there-inputs.safetensors"), inFolder("there-outputs.safetensors"))
  return yield* compareForward("models/elf-sotu in PyTorch", { config, tensors: model }, inFolder("there-inputs.safetensors"), inFolder("there-outputs.safetensors"), "")
})

/** A network as small as the corpus' vocabulary allows, and the run that goes on from its checkpoint. */
const run = {
  model: { hidden: 32, depth: 2, heads: 4, textWidth: 96, bottleneck: 16, length: 64 },
  encoder: { path: "../../models/encoder-sotu" },
  data: { train: "../corpus/train.parquet", batchSize: 4 },
  optimizer: { steps: 5, learningRate: 0.01 },
  checkpoint: { directory: "run" }
}

const back = Effect.fnUntraced(function*() {
  writeFileSync(inFolder("run.json"), JSON.stringify(run))
  const config: ModelConfig.ModelConfig = {
    ...run.model, timeTokens: 4, selfConditionScaleTokens: 4, modeTokens: 4, vocabulary: 32_100, feedForwardRatio: 4
  }
  const inputs = inFolder("back-inputs.safetensors")
  yield* writeInputs(inputs, config)
  reference("train", writeSettings("back.json", config), inputs, inFolder("reference"))
  const converted = inFolder("run/step-00000003")
  elf("convert", inFolder("reference/checkpoint_3"), converted, "--config", inFolder("run.json"))
  const { average, model } = yield* loadFolder(converted)
  const expected = inFolder("reference/expected.safetensors")
  const findings = [
    ...yield* compareForward("checkpoint_3, weights", { config, tensors: model }, inputs, expected, "params."),
    ...yield* compareForward("checkpoint_3, average", { config, tensors: average! }, inputs, expected, "ema."),
    yield* compareNextUpdate("checkpoint_3, fourth update", converted, expected)
  ]
  elf("train", inFolder("run.json"), "--resume")
  return findings
})

const line = (finding: Comparison) => {
  const { absolute, passed, relative, tolerance } = judge(finding)
  return [`${finding.part} ${finding.array}`.padEnd(72), absolute.toExponential(1), relative.toExponential(1), tolerance.toExponential(1), passed ? "ok" : "FAILED"].join("  ")
}

rmSync(folder, { recursive: true, force: true })
mkdirSync(inFolder("run"), { recursive: true })
const findings = await Effect.gen(function*() {
  return [...yield* there(), ...yield* back()]
}).pipe(Effect.tap((found) => Console.log(["", ...found.map(line)].join("\n"))), Effect.provide(Backend.layer), Effect.runPromise)
process.exitCode = findings.length > 0 && findings.every((finding) => judge(finding).passed) ? 0 : 1

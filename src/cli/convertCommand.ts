/**
 * `elf convert`: checkpoints of the reference as ours, and ours as files for PyTorch.
 */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { convert, type Converted, type ConvertRequest } from "../run/convert.ts"
import { given, json } from "./options.ts"
import { printResult } from "./print.ts"
import { readable } from "./progress.ts"

const formats: Readonly<Record<Converted["format"], string>> = {
  torch: "PyTorch checkpoint",
  flax: "Flax msgpack checkpoint",
  safetensors: "safetensors file",
  elf: "elf-streams checkpoint"
}

const loadLine = (output: string): string => `load it in PyTorch with model.load_state_dict(safetensors.torch.load_file(${JSON.stringify(output)}))`

const convertLines = (to: ConvertRequest["to"]) => ({ bytes, format, input, notes, output, parameters, sections, sizes, step }: Converted): ReadonlyArray<string> => [
  `${input}: ${formats[format]}, step ${step}, ${readable(parameters)} parameters (${sizes.depth} blocks of width ${sizes.hidden}, ${sizes.heads} heads)`,
  `${output}: ${sections.join(", ")}, ${readable(bytes)} bytes`,
  ...(to === "torch" ? [loadLine(output)] : []),
  ...notes
]

/** The command. */
export const convertCommand = Command.make("convert", {
  input: Argument.Path("input").pipe(Argument.withDescription("Checkpoint: of the reference (PyTorch, Flax msgpack), safetensors, or a folder of elf-streams")),
  output: Argument.Path("output").pipe(Argument.withDescription("Folder to write; with --to torch, a file")),
  to: Flag.Literals("to", ["elf", "torch"]).pipe(Flag.withDescription("elf: a checkpoint folder; torch: safetensors with the reference's parameter names"), Flag.withDefault("elf")),
  weights: Flag.Literals("weights", ["ema", "model"]).pipe(Flag.withDescription("Only the moving average, or only the weights as trained; default: all (elf), ema (torch)"), Flag.optional),
  config: Flag.Path("config").pipe(Flag.withDescription("Run file of the network, where the checkpoint does not carry it"), Flag.optional),
  json
}, ({ config, input, json, output, to, weights }) =>
  Effect.flatMap(
    convert({ input, output, to, ...given("weights", weights), ...given("config", config) }),
    (converted) => printResult(json, converted, convertLines(to))
  )
).pipe(Command.withDescription("Convert checkpoints from and to the reference's formats"))

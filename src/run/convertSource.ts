/**
 * Checkpoints of every kind that is read, told apart by what they hold and not by their names.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { dirname, join, resolve } from "node:path"
import { attempt, type DiskError } from "../io/Disk.ts"
import { type FlaxFileError } from "../io/flax/FlaxFileError.ts"
import * as FlaxCheckpoint from "../io/flax/FlaxCheckpoint.ts"
import type { ForeignCheckpoint, ForeignTensor, ForeignWeights } from "../io/ForeignWeights.ts"
import { Checkpoint, RunConfig, Safetensors } from "../io/index.ts"
import { parseJson } from "../io/smallText.ts"
import { openFile, readRange } from "../io/readRange.ts"
import * as TorchCheckpoint from "../io/torch/TorchCheckpoint.ts"
import { type TorchFileError } from "../io/torch/TorchFileError.ts"
import { type ConvertError, failing } from "./ConvertError.ts"
import { checkpointConfig } from "./weights.ts"

/** Everything that reading a checkpoint may fail with. */
export type SourceError =
  | TorchFileError
  | FlaxFileError
  | Safetensors.SafetensorsError
  | Checkpoint.CheckpointError
  | RunConfig.RunConfigError
  | ConvertError
  | DiskError

/** An open checkpoint. */
export interface Source {
  readonly path: string
  readonly format: "torch" | "flax" | "safetensors" | "elf"
  readonly checkpoint: ForeignCheckpoint<SourceError>
  /** What it was trained with, where it says so; paths are absolute. */
  readonly configuration?: RunConfig.RunConfig
  /** Further sections and metadata of a checkpoint of this library, as they are. */
  readonly sections?: Readonly<Record<string, ForeignWeights<SourceError>>>
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** Key of the header of safetensors files under which {@link SafetensorsOrigin} stands as JSON. */
export const originKey = "elf-streams"

/** What a safetensors file written by this library says about itself. */
export interface SafetensorsOrigin {
  readonly step: number
  readonly weights: "ema" | "model"
  /** Paths are relative to the file's folder. */
  readonly configuration?: unknown
}

const wrongType = (path: string, tensor: string, dtype: string) =>
  new Safetensors.SafetensorsError({ file: path, tensor, reason: "unsupportedType", detail: `weights of type ${dtype} are not floats`, remedy: "convert the tensor to F32, F16 or BF16" })

const tensorsOf = (file: Safetensors.SafetensorsFile): ForeignWeights<Safetensors.SafetensorsError> =>
  new Map(Array.from(file.tensors, ([name, { dtype, shape }]): readonly [string, ForeignTensor<Safetensors.SafetensorsError>] => [name, {
    shape,
    read: Effect.flatMap(file.read(name), ({ data }) => data instanceof Float32Array ? Effect.succeed(data) : Effect.fail(wrongType(file.path, name, dtype)))
  }]))

const originOf = (file: Safetensors.SafetensorsFile): Effect.Effect<Partial<SafetensorsOrigin>, ConvertError> =>
  Effect.try({
    try: () => {
      const origin: unknown = parseJson(file.metadata[originKey] ?? "{}")
      if (typeof origin === "object" && origin !== null) return origin as Partial<SafetensorsOrigin>
      throw new Error("it is no object")
    },
    catch: (cause) => failing(file.path)("unknownInput", `the metadata under ${originKey} cannot be read (${cause instanceof Error ? cause.message : String(cause)})`, "fetch or write the file again")
  })

const fromSafetensors = (path: string): Effect.Effect<Source, SourceError, Scope.Scope> =>
  Effect.gen(function*() {
    const file = yield* Safetensors.open(path)
    const origin = yield* originOf(file)
    const folder = dirname(resolve(path))
    const configuration = origin.configuration === undefined ? undefined :
      RunConfig.mapPaths(yield* RunConfig.decode(origin.configuration, path), (each) => resolve(folder, each))
    const weights = tensorsOf(file)
    return {
      path,
      format: "safetensors",
      checkpoint: {
        model: weights,
        ...(origin.weights === "ema" ? { ema: weights } : {}),
        ...(Number.isSafeInteger(origin.step) && origin.step! >= 0 ? { step: origin.step! } : {}),
        notes: []
      },
      ...(configuration === undefined ? {} : { configuration })
    }
  })

const fromElf = (path: string): Effect.Effect<Source, SourceError, Scope.Scope> =>
  Effect.gen(function*() {
    const checkpoint = yield* Checkpoint.read(path)
    const configuration = yield* checkpointConfig(checkpoint)
    const opened: Record<string, ForeignWeights<SourceError>> = {}
    for (const section of checkpoint.sections) opened[section] = tensorsOf(yield* checkpoint.open(section))
    const { ema, model = new Map(), ...sections } = opened
    const { metadata, step } = checkpoint
    return { path: checkpoint.path, format: "elf", checkpoint: { step, model, ...(ema === undefined ? {} : { ema }), notes: [] }, configuration, sections, metadata }
  })

const quoted = (path: string): string => `'${path.replaceAll("'", "'\\''")}'`

/** The command that writes an orbax folder as msgpack with the reference's own loader. @source JAX branch `utils/checkpoint_utils.py` */
const orbaxCommand = (path: string): string => {
  const script = [
    "import sys",
    "from flax import serialization",
    "from utils.checkpoint_utils import _restore_checkpoint",
    "s = _restore_checkpoint(sys.argv[1], None)",
    "open(sys.argv[2], 'wb').write(serialization.to_bytes({k: s[k] for k in ('params', 'ema_params1', 'step', 'epoch')}))"
  ].join("; ")
  const input = resolve(path)
  return `python -c "${script}" ${quoted(input)} ${quoted(`${input}.msgpack`)}`
}

const refuseOrbax = (path: string): ConvertError =>
  failing(path)(
    "orbax",
    "this is a JAX checkpoint in orbax's OCDBT format, which only its own library reads",
    `in the folder src of the reference's JAX branch, with its requirements installed, run: ${orbaxCommand(path)} and convert the file that it writes`
  )

const checkpointNumber = (name: string): number => Number(/^checkpoint_(\d+)$/.exec(name)?.[1] ?? -1)

const fromFolder = (path: string): Effect.Effect<Source, SourceError, Scope.Scope> =>
  Effect.gen(function*() {
    const names = (yield* attempt("list", path, (disk) => disk.list(path))).map(({ name }) => name)
    const has = (...candidates: ReadonlyArray<string>) => candidates.some((name) => names.includes(name))
    if (has("manifest.ocdbt", "_CHECKPOINT_METADATA", "_METADATA")) return yield* refuseOrbax(path)
    if (has("checkpoint.json", "latest") || names.some((name) => /^step-\d{8,}/.test(name))) return yield* fromElf(path)
    // A folder of the reference's checkpoints stands for the latest of them, as it does for the reference.
    const latest = names.reduce((best, name) => checkpointNumber(name) > checkpointNumber(best) ? name : best, "")
    if (latest !== "") return yield* openSource(join(path, latest))
    return yield* failing(path)("unknownInput", "the folder holds no checkpoint", "name the checkpoint itself")
  })

type Kind = "torch" | "flax" | "safetensors" | "oldTorch" | "pickle" | "unknown"

const startsWith = (bytes: Uint8Array, ...start: ReadonlyArray<number>): boolean => start.every((byte, i) => bytes[i] === byte)

const kindOf = (first: Uint8Array, size: number): Kind => {
  if (startsWith(first, 0x50, 0x4b, 0x03, 0x04) || startsWith(first, 0x50, 0x4b, 0x05, 0x06)) return "torch"
  if (startsWith(first, 0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c)) return "oldTorch"
  const length = first.length >= 9 ? Buffer.from(first).readBigUInt64LE(0) : 0n
  if (first[8] === 0x7b && length >= 2n && length <= BigInt(size - 8)) return "safetensors"
  if (first[0] === 0x80 && first[1]! >= 2 && first[1]! <= 5) return "pickle"
  return (first[0]! >= 0x81 && first[0]! <= 0x8f) || first[0] === 0xde || first[0] === 0xdf ? "flax" : "unknown"
}

/** What a file is by its first bytes. */
export const sniff = (path: string): Effect.Effect<Kind, DiskError> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openFile(path)
    return kindOf(yield* readRange(file, path, 0, Math.min(16, file.size)), file.size)
  }))

const resave = "load it with PyTorch and save it again: torch.save(torch.load(\"checkpoint\"), \"checkpoint\")"

const fromFile = (path: string): Effect.Effect<Source, SourceError, Scope.Scope> =>
  Effect.gen(function*() {
    const fail = failing(path)
    const kind = yield* sniff(path)
    switch (kind) {
      case "torch":
        return { path, format: kind, checkpoint: yield* TorchCheckpoint.open(path) }
      case "flax":
        return { path, format: kind, checkpoint: yield* FlaxCheckpoint.open(path) }
      case "safetensors":
        return yield* fromSafetensors(path)
      case "oldTorch":
        return yield* fail("unknownInput", "this is a PyTorch file in the format before version 1.6", resave)
      case "pickle":
        return yield* fail("unknownInput", "this is a bare pickle, which is not read", resave)
      case "unknown":
        return yield* fail("unknownInput", "this is no checkpoint: neither of PyTorch (zip), nor Flax msgpack, nor safetensors, nor a checkpoint folder", "check the path")
    }
  })

/** Opens a checkpoint of any kind; nothing but names and shapes is read. It stays open until the surrounding scope closes. */
export const openSource = (path: string): Effect.Effect<Source, SourceError, Scope.Scope> =>
  Effect.flatMap(attempt("look at", path, (disk) => disk.kind(path)), (kind) =>
    kind === "folder" ? fromFolder(path) : fromFile(path))

/**
 * The reference's PyTorch checkpoints: what `save_checkpoint` wrote, or a bare `state_dict`.
 *
 * @source `utils/checkpoint_utils.py`, `save_checkpoint`
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { elementBytes } from "../elementValues.ts"
import type { ForeignCheckpoint, ForeignTensor, ForeignWeights } from "../ForeignWeights.ts"
import { elementsOf } from "./allowedGlobals.ts"
import { type PickleDict, type PickleValue, TorchTensor } from "./pickleValues.ts"
import * as TorchFile from "./TorchFile.ts"
import { type Fail, failing, type TorchFileError } from "./TorchFileError.ts"
import { leftOut, momentsOf, type TorchMoments } from "./torchOptimizer.ts"
import { attemptSync } from "./ZipFile.ts"

type Weights = ForeignWeights<TorchFileError>

const isDict = (value: PickleValue | undefined): value is PickleDict => value instanceof Map

const floatTypes: ReadonlyArray<string> = ["F64", "F32", "F16", "BF16"]

const tensorOf = (file: TorchFile.TorchFile, tensor: TorchTensor, name: string, fail: Fail): ForeignTensor<TorchFileError> => {
  if (!floatTypes.includes(tensor.storage.type)) throw fail("badCheckpoint", `its elements are of type ${tensor.storage.type}, weights are floats`, { tensor: name })
  return { shape: tensor.shape, read: Effect.map(file.read(tensor, name), ({ data }) => data as Float32Array) }
}

/** Tensors by name. Together they may not be larger than the file, which many views of one storage could be. */
const weightsOf = (file: TorchFile.TorchFile, dict: PickleDict, section: string, fail: Fail): Weights => {
  const weights = new Map<string, ForeignTensor<TorchFileError>>()
  let bytes = 0
  for (const [name, value] of dict) {
    if (typeof name !== "string" || !(value instanceof TorchTensor)) throw fail("badCheckpoint", `${section} holds ${JSON.stringify(name).slice(0, 100)}, which is no tensor`)
    bytes += elementsOf(value.shape) * elementBytes[value.storage.type]
    weights.set(name, tensorOf(file, value, name, fail))
  }
  if (bytes > file.bytes) throw fail("limit", `the tensors of ${section} take ${bytes} bytes, the file has ${file.bytes}`)
  return weights
}

const isCount = (value: PickleValue | undefined): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const isStateDict = (dict: PickleDict): boolean => {
  for (const value of dict.values()) if (!(value instanceof TorchTensor)) return false
  return dict.size > 0
}

const keysOf = (dict: PickleDict): string => [...dict.keys()].slice(0, 10).map(String).join(", ").slice(0, 200) || "nothing"

const sections = (dict: PickleDict, fail: Fail): { readonly params: PickleDict; readonly average: PickleDict | undefined } => {
  if (isStateDict(dict)) return { params: dict, average: undefined }
  const [params, average] = [dict.get("params"), dict.get("ema_params1")]
  if (!isDict(params)) throw fail("badCheckpoint", `it holds ${keysOf(dict)}, but no "params"`)
  if (average != null && !isDict(average)) throw fail("badCheckpoint", "\"ema_params1\" is no dict")
  return { params, average: average ?? undefined }
}

const unfinished = (dict: PickleDict): ReadonlyArray<string> => {
  const sums = dict.get("grad_accum_buffers")
  return isDict(sums) && sums.size > 0 ? ["The gradients of an unfinished accumulation are left out: training goes on with the next whole batch."] : []
}

type Optimizer = Pick<ForeignCheckpoint<TorchFileError>, "optimizer" | "notes">

/** The number of updates that all parameters agree on. */
const updatesOf = (file: TorchFile.TorchFile, counts: TorchMoments["counts"]) =>
  Effect.map(
    Effect.forEach(counts, (count) => typeof count === "number" ? Effect.succeed(count) : Effect.map(file.read(count, "step"), ({ data }) => data[0])),
    (numbers) => new Set(numbers).size === 1 && isCount(numbers[0]) ? numbers[0] : undefined
  )

const optimizerOf = (file: TorchFile.TorchFile, dict: PickleDict, params: PickleDict, fail: Fail): Effect.Effect<Optimizer, TorchFileError> =>
  Effect.gen(function*() {
    const { found, notes } = momentsOf(dict.get("opt_state"), params)
    if (found === undefined) return { notes }
    const updates = yield* updatesOf(file, found.counts)
    if (updates === undefined) return leftOut("its parameters do not agree on the number of updates")
    const moments = yield* attemptSync(fail, () => weightsOf(file, found.moments, "opt_state", fail))
    return { optimizer: { kind: found.kind, updates, moments }, notes }
  })

const checkpointOf = (file: TorchFile.TorchFile, fail: Fail): Effect.Effect<ForeignCheckpoint<TorchFileError>, TorchFileError> =>
  Effect.gen(function*() {
    const dict = file.value
    if (!isDict(dict)) return yield* fail("badCheckpoint", "it holds no dict")
    const { average, params } = yield* attemptSync(fail, () => sections(dict, fail))
    const weights = (section: string, of: PickleDict) => attemptSync(fail, () => weightsOf(file, of, section, fail))
    const step = dict.get("step")
    const { notes, ...optimizer } = yield* optimizerOf(file, dict, params, fail)
    return {
      model: yield* weights("params", params),
      ...(isCount(step) ? { step } : {}),
      ...(average === undefined ? {} : { ema: yield* weights("ema_params1", average) }),
      ...optimizer,
      notes: [...notes, ...unfinished(dict)]
    }
  })

/** Opens a checkpoint; it stays open until the surrounding scope closes. */
export const open = (path: string): Effect.Effect<ForeignCheckpoint<TorchFileError>, TorchFileError, Scope.Scope> =>
  Effect.flatMap(TorchFile.open(path), (file) => checkpointOf(file, failing(path)))

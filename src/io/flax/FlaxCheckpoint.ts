/**
 * The reference's older JAX checkpoints: names and layouts of Flax as those of PyTorch.
 *
 * A Flax `Dense` keeps its `kernel` as `[inputs, outputs]`, a PyTorch `Linear` its `weight` as `[outputs, inputs]`; the
 * blocks are `blocks_0`, … instead of `blocks.0`, …. Everything else has one name and one layout in both, also the bare
 * `proj_kernel` and `unembed_kernel`.
 *
 * @source JAX branch `utils/checkpoint_utils.py`, `save_checkpoint`; `modules/model.py`
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import type { ForeignCheckpoint, ForeignTensor, ForeignWeights } from "../ForeignWeights.ts"
import * as FlaxFile from "./FlaxFile.ts"
import { type Fail, failing, FlaxFileError } from "./FlaxFileError.ts"

type Weights = ForeignWeights<FlaxFileError>

const floatTypes: ReadonlyArray<string> = ["F64", "F32", "F16", "BF16"]

/** `[rows, columns]` → `[columns, rows]`. */
const transpose = (values: Float32Array, rows: number, columns: number): Float32Array => {
  const result = new Float32Array(values.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column]!
  }
  return result
}

/** `blocks_0.attn.qkv.kernel` → `blocks.0.attn.qkv.weight`. */
const pytorchName = (path: ReadonlyArray<string>): string =>
  path.map((part, i) => part.replace(/^blocks_(\d+)$/, "blocks.$1").replace(/^kernel$/, i === path.length - 1 ? "weight" : "kernel")).join(".")

const tensorOf = (file: FlaxFile.FlaxFile, array: FlaxFile.FlaxArray, path: ReadonlyArray<string>, fail: Fail): ForeignTensor<FlaxFileError> => {
  const tensor = path.join(".")
  if (!floatTypes.includes(array.type)) throw fail("badCheckpoint", `its elements are of type ${array.type}, weights are floats`, { tensor })
  const read = Effect.map(file.read(array, tensor), (values) => values as Float32Array)
  if (path.at(-1) !== "kernel") return { shape: array.shape, read }
  const [inputs, outputs] = array.shape
  if (array.shape.length !== 2) throw fail("badCheckpoint", `a kernel has ${array.shape.length} axes`, { tensor })
  return { shape: [outputs!, inputs!], read: Effect.map(read, (values) => transpose(values, inputs!, outputs!)) }
}

const collect = (file: FlaxFile.FlaxFile, value: FlaxFile.FlaxValue, path: ReadonlyArray<string>, into: Map<string, ForeignTensor<FlaxFileError>>, fail: Fail): void => {
  if (value instanceof Map) {
    for (const [key, child] of value) collect(file, child, [...path, key], into, fail)
    return
  }
  const name = pytorchName(path)
  if (!(value instanceof FlaxFile.FlaxArray)) throw fail("badCheckpoint", "this is no array", { tensor: path.join(".") })
  if (into.has(name)) throw fail("badCheckpoint", `two arrays are called ${name}`, { tensor: path.join(".") })
  into.set(name, tensorOf(file, value, path, fail))
}

const weightsOf = (file: FlaxFile.FlaxFile, tree: FlaxFile.FlaxTree, fail: Fail): Weights => {
  const weights = new Map<string, ForeignTensor<FlaxFileError>>()
  collect(file, tree, [], weights, fail)
  return weights
}

/** A number, or an array of one. */
const countOf = (file: FlaxFile.FlaxFile, value: FlaxFile.FlaxValue | undefined): Effect.Effect<number | undefined, FlaxFileError> => {
  const count = (number: unknown) => Number.isSafeInteger(number) && (number as number) >= 0 ? number as number : undefined
  if (!(value instanceof FlaxFile.FlaxArray)) return Effect.succeed(count(value))
  return Effect.map(file.read(value, "step"), (values) => values.length === 1 ? count(values[0]) : undefined)
}

const checkpointOf = (file: FlaxFile.FlaxFile, fail: Fail): ForeignCheckpoint<FlaxFileError> => {
  const { tree } = file
  if (!(tree instanceof Map)) throw fail("badCheckpoint", "it holds no map")
  const [params, average] = [tree.get("params"), tree.get("ema_params1")]
  if (!(params instanceof Map)) throw fail("badCheckpoint", `it holds ${[...tree.keys()].slice(0, 10).join(", ").slice(0, 200) || "nothing"}, but no "params"`)
  if (average != null && !(average instanceof Map)) throw fail("badCheckpoint", "\"ema_params1\" is no map")
  return {
    model: weightsOf(file, params, fail),
    ...(average == null ? {} : { ema: weightsOf(file, average, fail) }),
    notes: tree.get("opt_state") == null ? [] : ["The optimiser's state is left out: that of a JAX checkpoint is not converted."]
  }
}

/** Opens a checkpoint; it stays open until the surrounding scope closes. */
export const open = (path: string): Effect.Effect<ForeignCheckpoint<FlaxFileError>, FlaxFileError, Scope.Scope> =>
  Effect.gen(function*() {
    const fail = failing(path)
    const file = yield* FlaxFile.open(path)
    const checkpoint = yield* Effect.try({
      try: () => checkpointOf(file, fail),
      catch: (cause) => cause instanceof FlaxFileError ? cause : fail("badMessage", String(cause))
    })
    const step = yield* countOf(file, file.tree instanceof Map ? file.tree.get("step") : undefined)
    return step === undefined ? checkpoint : { ...checkpoint, step }
  })

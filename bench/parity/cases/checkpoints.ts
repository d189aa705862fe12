/** `ckpt_*_expected`: the reference's checkpoints through the reader that `elf convert` uses, and the networks in them. */
import { createHash } from "node:crypto"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Result } from "effect"
import type { ForeignWeights } from "../../../src/io/ForeignWeights.ts"
import { ConvertError } from "../../../src/run/ConvertError.ts"
import { openSource, type SourceError } from "../../../src/run/convertSource.ts"
import { forward, halves, withElf } from "../device.ts"
import type { Directory, Fixture, FixtureCase } from "../Directory.ts"
import { agreement, type Finding, NotRun, type RunCase } from "../Finding.ts"
import { modelConfig, type ModelSettings } from "../reference.ts"

interface Contents {
  /** By `params.…` and `ema_params1.…`, in PyTorch's names and layouts. */
  readonly tensor_digests: Readonly<Record<string, { readonly shape: ReadonlyArray<number>; readonly sha256: string }>>
  /** Of the optimiser's parameters, in its order. */
  readonly opt_param_index_to_name?: ReadonlyArray<string>
  readonly step: number
}

type CheckpointCase = FixtureCase<ModelSettings, Contents>

/** Everything in the directory that begins with the case's name without its ending: the same state in one or more formats. */
export const storesOf = ({ path }: Directory, { name }: FixtureCase): ReadonlyArray<string> => {
  const stem = name.replace(/_expected$/, "")
  return readdirSync(path).filter((entry) => entry.startsWith(stem) && !entry.endsWith(".safetensors")).sort()
}

const sha256 = (values: Float32Array): string =>
  createHash("sha256").update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).digest("hex")

/** Shape and digest of every tensor of a section. */
const digests = (section: string, weights: ForeignWeights<SourceError>) =>
  Effect.map(
    Effect.forEach(weights, ([name, { read, shape }]) => Effect.map(read, (values) => [`${section}.${name}`, `${shape.join(" × ")}: ${sha256(values)}`] as const)),
    (entries) => new Map(entries)
  )

const expectedDigests = ({ scalars }: CheckpointCase, section: string) =>
  new Map(Object.entries(scalars.tensor_digests).filter(([name]) => name.startsWith(`${section}.`)).map(([name, { sha256: digest, shape }]) => [name, `${shape.join(" × ")}: ${digest}`]))

/** x̂ and logits of the network with these weights, all rows as decoder rows. */
const passFindings = (recorded: Fixture, { config, name }: CheckpointCase, weights: ForeignWeights<SourceError>, suffix: string) =>
  Effect.gen(function*() {
    const tensors = yield* Effect.forEach(weights, ([tensor, { read, shape }]) => Effect.map(read, (data) => ({ name: tensor, shape, data })))
    const sizes = modelConfig(config)
    const outputs = yield* withElf(name, { config: sizes, tensors }, (elf) =>
      forward(elf, {
        ...halves(recorded.tensor("x"), sizes.textWidth),
        t: recorded.tensor("t"),
        selfConditionScale: recorded.tensor("self_cond_cfg_scale"),
        decoderGate: tf.ones([recorded.shape("x")[0]!])
      }))
    return (["out", "logits"] as const).filter((kind) => recorded.has(`${kind}_${suffix}`)).map((kind): Finding =>
      ({ array: `${kind}_${suffix}`, quantity: "forward", actual: outputs[kind], expected: recorded.floats(`${kind}_${suffix}`) }))
  })

/** One section: its tensors bit for bit, and what the network in it computes. */
const sectionFindings = (recorded: Fixture, each: CheckpointCase, section: string, suffixes: ReadonlyArray<string>, weights: ForeignWeights<SourceError>) =>
  Effect.gen(function*() {
    const contents = agreement(`${section}.* (shapes, digests)`, yield* digests(section, weights), expectedDigests(each, section))
    const suffix = suffixes.find((ending) => recorded.has(`out_${ending}`))
    return [contents, ...(suffix === undefined ? [] : yield* passFindings(recorded, each, weights, suffix))]
  })

/** The moments that are recorded as `opt.state<index>.momentum_buffer`. */
const momentFindings = (recorded: Fixture, { scalars }: CheckpointCase, moments: ForeignWeights<SourceError>) =>
  Effect.forEach(recorded.names.filter((name) => /^opt\.state\d+\.momentum_buffer$/.test(name)), (array) => {
    const owner = scalars.opt_param_index_to_name?.[Number(/\d+/.exec(array)![0])]
    const read = moments.get(`momentum/${owner}`)?.read ?? Effect.succeed([])
    return Effect.map(read, (actual: ArrayLike<number>): Finding => ({ array, quantity: "exact", actual, expected: recorded.floats(array) }))
  })

/** Everything that one store holds. */
const storeFindings = (directory: Directory, each: CheckpointCase, store: string) =>
  Effect.scoped(Effect.gen(function*() {
    const recorded = directory.fixture(each.name)
    const { checkpoint } = yield* openSource(join(directory.path, store))
    const found: ReadonlyArray<ReadonlyArray<Finding>> = [
      [{ array: "step", quantity: "exact", actual: [checkpoint.step ?? NaN], expected: [each.scalars.step] }],
      yield* sectionFindings(recorded, each, "params", ["params"], checkpoint.model),
      checkpoint.ema === undefined ? [] : yield* sectionFindings(recorded, each, "ema_params1", ["ema", "ema_params1"], checkpoint.ema),
      checkpoint.optimizer === undefined ? [] : yield* momentFindings(recorded, each, checkpoint.optimizer.moments)
    ]
    return found.flat().map((finding): Finding => "quantity" in finding ? { ...finding, part: store } : finding)
  }))

const isOrbax = (error: unknown): boolean => error instanceof ConvertError && error.reason === "orbax"

/** Averages that only a store in orbax's format holds, which is refused. */
const averagesLeftOut = (recorded: Fixture): ReadonlyArray<Finding> =>
  recorded.names.filter((name) => /^(out|logits)_ema/.test(name)).map((array) => ({ array, why: "only the orbax folder holds the average, and it is refused with the command that converts it" }))

export const checkpointCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const stores = storesOf(directory, each)
    const results = yield* Effect.forEach(stores, (store) => Effect.result(storeFindings(directory, each as CheckpointCase, store)))
    const refused = stores.filter((_, i) => Result.isFailure(results[i]!) && isOrbax((results[i] as Result.Failure<unknown, unknown>).failure))
    const failed = results.find((result, i) => Result.isFailure(result) && !refused.includes(stores[i]!))
    if (failed !== undefined) return yield* Effect.fromResult(failed)
    const found = results.flatMap((result) => Result.isSuccess(result) ? result.success : [])
    if (found.length === 0) return yield* new NotRun({ why: stores.length === 0 ? "the directory does not hold its checkpoint" : "its checkpoint is in orbax's format only" })
    const compared = new Set(found.map(({ array }) => array))
    const left = refused.length === 0 ? [] : averagesLeftOut(directory.fixture(each.name)).filter(({ array }) => !compared.has(array))
    return [...found, ...refused.map((array): Finding => ({ array, why: "in orbax's format: refused with the command that converts it" })), ...left]
  })

/** What the tests of this library's kernels share: values and gradients with and without them. */
import * as tf from "@tensorflow/tfjs-core"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { keyed } from "../../src/flow/Random.ts"
import { Backend } from "../../src/model/Backend.ts"
import { ownKernels, type RunKernel, withoutOwnKernels } from "../../src/model/backend/ownKernels.ts"
import { relativeError } from "./tolerances.ts"

/** Sums over rows differ in their order, and exponentials by a unit in the last place. */
const tolerance = 1e-5

const source = keyed(31)
/** A normal tensor, another for each purpose. */
export const normal = (purpose: string, shape: Array<number>, scale = 1): tf.Tensor =>
  tf.tensor(source.normal({ purpose, index: 0 }, shape.reduce((a, b) => a * b, 1)).map((x) => scale * x), shape)

/** Rows that blocks do and do not divide. */
export const rowCounts = fc.constantFrom(1, 7, 65)
/** Widths that vectors do and do not divide. */
export const widths = fc.constantFrom(2, 6, 66, 80, 257)

/** Whether a machine without the kernels may pass over their tests. */
const absenceAllowed = process.env["ELF_STREAMS_ALLOW_MISSING_ENGINE"] === "1" || process.env["ELF_STREAMS_KERNELS"] === "0"

/** A test inside a kernel. Without the kernels of this library it fails, unless they are turned off or an engine may be missing: then it says so. */
export const lawfulWith = (it: { readonly effect: (name: string, test: () => Effect.Effect<void, unknown, Backend>) => void }) => (name: string, body: () => void): void =>
  it.effect(name, () => Effect.flatMap(Backend, (backend) => backend.kernel(name, () =>
    ownKernels() === undefined && absenceAllowed ? void process.stderr.write(`\nNOT TESTED without the kernels of this library: ${name}\n`) : body())))

/** Fails unless shapes are the same and values are near. */
export const near = (actual: tf.Tensor, expected: tf.Tensor, what: string, limit = tolerance): void => {
  assert.deepStrictEqual(actual.shape, expected.shape, what)
  assert.isAtMost(relativeError(actual.dataSync(), expected.dataSync()), limit, what)
}

/** The kernels, or an error that says how to get them. */
export const kernels = (): RunKernel => {
  const run = ownKernels()
  if (run === undefined) throw new Error("the kernels of this library are not loaded: `elf engine install --force`")
  return run
}

/** Value and gradients of `f` at `inputs`, with and without the kernels; the upstream gradient is not constant. */
export const sameBothWays = (f: (...inputs: Array<tf.Tensor>) => tf.Tensor, inputs: Array<tf.Tensor>, what: string): void => tf.tidy(() => {
  kernels()
  const values = () => {
    const value = f(...inputs)
    return [value, ...tf.grads(f)(inputs, normal("upstream", value.shape))]
  }
  const [own, portable] = [values(), withoutOwnKernels(values)]
  own.forEach((tensor, i) => near(tensor, portable[i]!, `${what}: ${i === 0 ? "value" : `gradient ${i - 1}`}`))
})

/**
 * The same small program on all three engines. Stated tolerance: 1e-5 of the largest value of each result, in float32.
 */
import * as tf from "@tensorflow/tfjs-core"
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Layer, Logger, Result } from "effect"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach } from "vitest"
import { locate } from "../../src/engine/index.mjs"
import { platformKey } from "../../src/engine/platform.mjs"
import { pinnedPlatforms } from "../../src/engine/versions.mjs"
import { toBackendError } from "../../src/model/backend/errors.ts"
import { segmentSum } from "../../src/model/backend/segmentSum.ts"
import { Backend, type EngineUnavailableError } from "../../src/model/Backend.ts"

const tolerance = 1e-5

/** Where a libtensorflow is pinned for this platform, the set-up before the tests installed it: then it must be there. */
const native = platformKey() in pinnedPlatforms || locate() !== undefined

const layers: ReadonlyArray<readonly [string, Layer.Layer<Backend, EngineUnavailableError>]> = [
  ...(native ? [["tensorflow", Backend.layerTensorFlow] as const] : []),
  ["wasm", Backend.layerWasm],
  ["cpu", Backend.layerCpu]
]

const numbers = (count: number, scale: number): Float32Array => Float32Array.from({ length: count }, (_, index) => Math.sin(index * 1.7) * scale)

/** A one-layer classifier over gathered rows: value, gradients with respect to table and weights, and a few kernels besides. */
const program = (): Record<string, Array<number>> => {
  const table = tf.tensor2d(numbers(24, 1), [6, 4])
  const weights = tf.tensor2d(numbers(20, 2), [4, 5])
  const ids = tf.tensor1d([5, 0, 0, 3], "int32")
  const loss = (rows: tf.Tensor, matrix: tf.Tensor): tf.Scalar => {
    const probabilities = tf.softmax(tf.matMul(tf.gather(rows, ids), matrix as tf.Tensor2D))
    return tf.neg(tf.sum(tf.log(tf.slice(probabilities, [0, 1], [-1, 1])))) as tf.Scalar
  }
  const { grads, value } = tf.valueAndGrads(loss as never)([table, weights])
  const normalized = tf.mul(table, tf.rsqrt(tf.mean(tf.square(table), 1, true)))
  const results = { value, table: grads[0]!, weights: grads[1]!, normalized, sigmoid: tf.sigmoid(weights), argMax: tf.argMax(weights, 1) }
  return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, Array.from(tensor.dataSync())]))
}

const largestDifference = (one: ReadonlyArray<number>, other: ReadonlyArray<number>): number => {
  const scale = Math.max(...other.map(Math.abs))
  return Math.max(...one.map((value, index) => Math.abs(value - (other[index] ?? Number.NaN)))) / scale
}

/** The classifier's loss in double precision, without any tensor library. */
const lossByHand = (): number => {
  const [table, weights] = [numbers(24, 1), numbers(20, 2)]
  return [5, 0, 0, 3].reduce((loss, row) => {
    const scores = [0, 1, 2, 3, 4].map((column) =>
      [0, 1, 2, 3].reduce((sum, inner) => sum + table[row * 4 + inner]! * weights[inner * 5 + column]!, 0))
    return loss - (scores[1]! - Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)))
  }, 0)
}

describe.each(layers)("Backend on %s", (name, layer) => {
  it.effect("computes the same small program as plain JavaScript", () =>
    Effect.gen(function*() {
      const reference = yield* Effect.provide(Effect.flatMap(Backend, ({ kernel }) => kernel("program", program)), Backend.layerCpu)
      const { engine, kernel } = yield* Backend
      expect(engine).toBe(name)
      const results = yield* kernel("program", program)
      expect(Object.keys(results)).toEqual(Object.keys(reference))
      for (const [key, values] of Object.entries(results)) expect(largestDifference(values, reference[key]!)).toBeLessThan(tolerance)
      expect(results["value"]![0]).toBeCloseTo(lossByHand(), 4)
    }).pipe(Effect.provide(layer)))

  it.effect("releases every tensor except those that a kernel returns", () =>
    Effect.gen(function*() {
      const { kernel, live } = yield* Backend
      const before = yield* live
      yield* kernel("program", program)
      expect(yield* live).toBe(before)
      const kept = yield* kernel("keep", () => ({ pair: [tf.add(tf.ones([2]), 1), tf.zeros([3])] }))
      expect(yield* live).toBe(before + 2)
      tf.dispose(kept)
      yield* Effect.flip(kernel("leave", () => {
        tf.ones([4])
        throw new Error("left in the middle")
      }))
      expect(yield* live).toBe(before)
    }).pipe(Effect.provide(layer)))

  it.effect("turns what a kernel throws into an error with its name", () =>
    Effect.gen(function*() {
      const { kernel } = yield* Backend
      const error = yield* Effect.flip(kernel("project", () => tf.matMul(tf.ones([2, 3]), tf.ones([2, 3]))))
      expect(error).toMatchObject({ _tag: "KernelError", kernel: "project", engine: name })
      expect(error.message).toContain(`Kernel "project" failed on the ${name} engine`)
    }).pipe(Effect.provide(layer)))

  it.effect("runs kernels of this engine while another service is alive", () =>
    Effect.gen(function*() {
      const here = yield* Backend
      const used = () => tf.getBackend()
      expect(yield* Effect.provide(Effect.flatMap(Backend, ({ kernel }) => kernel("other", used)), Backend.layerCpu)).toBe("cpu")
      expect(yield* here.kernel("own", used)).toBe(name)
    }).pipe(Effect.provide(layer)))
})

describe("what WebAssembly lacks", () => {
  it.effect("comes from plain JavaScript: no kernel is missing, and no tensor stays behind", () =>
    Effect.gen(function*() {
      const { kernel, live } = yield* Backend
      const names = (backend: string) => new Set(tf.getKernelsForBackend(backend).map(({ kernelName }) => kernelName))
      expect([...names("cpu")].filter((kernelName) => !names("wasm").has(kernelName))).toEqual([])
      const cpu = tf.findBackend("cpu") as tf.KernelBackend
      const before = [yield* live, cpu.numDataIds()]
      const product = yield* kernel("einsum", () =>
        tf.einsum("ij,jk->ik", tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[5, 6], [7, 8]])).arraySync())
      expect(product).toEqual([[19, 22], [43, 50]])
      const gradient = yield* kernel("convolution", () =>
        tf.grad((filter) => tf.sum(tf.conv2d(tf.ones<tf.Rank.R4>([1, 3, 3, 1]), filter as tf.Tensor4D, 1, "valid")))(tf.ones([2, 2, 1, 1])).dataSync())
      expect(Array.from(gradient)).toEqual([4, 4, 4, 4])
      expect([yield* live, cpu.numDataIds()]).toEqual(before)
    }).pipe(Effect.provide(Backend.layerWasm)))
})

describe("segmentSum", () => {
  it("adds rows by segment and leaves out segments outside", () => {
    expect(Array.from(segmentSum(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), Int32Array.of(2, 0, 2, -1), 3, 2))).toEqual([3, 4, 0, 0, 6, 8])
    expect(Array.from(segmentSum(new Float32Array(0), new Int32Array(0), 2, 3))).toEqual([0, 0, 0, 0, 0, 0])
    expect(segmentSum(Int32Array.of(1, 2), Int32Array.of(0, 0), 1, 1)).toEqual(Int32Array.of(3))
  })
})

describe("memory", () => {
  it.effect("that is exhausted is told from other failures", () =>
    Effect.gen(function*() {
      const { kernel } = yield* Backend
      const error = yield* Effect.flip(kernel("outer", () => tf.matMul(tf.ones([300_000, 1]), tf.ones([1, 300_000]))))
      expect(error._tag).toBe("OutOfMemoryError")
      expect(error.message).toMatch(/^Kernel "outer" ran out of memory on the cpu engine .*Use a smaller batch size/)
    }).pipe(Effect.provide(Backend.layerCpu)))

  it.each([
    ["Invalid TF_Status: 8\nMessage: OOM when allocating tensor with shape[300000,300000] and type float", "OutOfMemoryError"],
    ["Resource exhausted: failed to allocate memory", "OutOfMemoryError"],
    ["Invalid TF_Status: 3\nMessage: Matrix size-incompatible: In[0]: [2,3], In[1]: [2,3]", "KernelError"]
  ])("%j is a %s", (message, tag) => {
    const error = toBackendError("step", "tensorflow")(new Error(message))
    expect(error._tag).toBe(tag)
    expect(error.message).not.toContain("\n")
  })
})

describe("Backend.layer", () => {
  const saved = { ...process.env }
  beforeEach(() => {
    process.env["ELF_STREAMS_CACHE"] = mkdtempSync(join(tmpdir(), "backend-"))
    delete process.env["ELF_STREAMS_ENGINE"]
  })
  afterEach(() => {
    process.env = { ...saved }
  })

  const lines: Array<string> = []
  const listening = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
  const chosen = Effect.suspend(() => {
    lines.length = 0
    return Effect.result(Effect.provide(Effect.map(Backend, ({ engine }) => engine), Backend.layer))
  }).pipe(Effect.provide(listening))

  it.effect("obeys ELF_STREAMS_ENGINE", () =>
    Effect.gen(function*() {
      process.env["ELF_STREAMS_ENGINE"] = "cpu"
      expect(yield* chosen).toEqual(Result.succeed("cpu"))
      expect(lines).toEqual([])
    }))

  it.effect("refuses a name that is no engine", () =>
    Effect.gen(function*() {
      process.env["ELF_STREAMS_ENGINE"] = "webgpu"
      const error = yield* Effect.flip(Effect.flatMap(chosen, Effect.fromResult))
      expect(error).toMatchObject({ _tag: "EngineUnavailableError" })
      expect(error.message).toContain("tensorflow, wasm, cpu")
    }))
})


import * as tf from "@tensorflow/tfjs-core"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { beforeAll, describe, expect, it } from "vitest"
import { withoutNotices } from "../../src/engine/hush.mjs"
import { load, locate, registerGradients } from "../../src/engine/index.mjs"
import { gpuSettings } from "../../src/engine/load.mjs"
import { moduleLoader, toCommonJs } from "../../src/engine/moduleLoader.mjs"
import { platformKey } from "../../src/engine/platform.mjs"
import { pinnedPlatforms } from "../../src/engine/versions.mjs"

const native = platformKey() in pinnedPlatforms || locate() !== undefined

describe("gpuSettings", () => {
  it("asks for memory as it is needed and for single precision, unless the user wants it otherwise", () => {
    expect(gpuSettings({})).toEqual({ TF_FORCE_GPU_ALLOW_GROWTH: "true", NVIDIA_TF32_OVERRIDE: "0" })
    expect(gpuSettings({ ELF_STREAMS_TF32: "1" }).NVIDIA_TF32_OVERRIDE).toBe("1")
    const chosen = { TF_FORCE_GPU_ALLOW_GROWTH: "false", NVIDIA_TF32_OVERRIDE: "1" }
    expect(gpuSettings({ ...chosen, ELF_STREAMS_TF32: "0" })).toEqual(chosen)
  })
})

describe.runIf(native)("the installed engine", () => {
  beforeAll(async () => {
    load(tf)
    registerGradients(tf)
    await tf.setBackend("tensorflow")
  })

  it("is the version that its manifest states", () => {
    const { installed, threads, version } = load(tf)
    expect(version).toBe(installed.manifest.tensorflow)
    expect(threads).toBeGreaterThan(0)
  })

  it("drives the caller's own TensorFlow.js", () => {
    const required = createRequire(import.meta.url)("@tensorflow/tfjs-core")
    expect(required.engine).toBe(tf.engine)
    const product = tf.matMul(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[5, 6], [7, 8]]))
    expect(product).toBeInstanceOf(tf.Tensor)
    expect(product.arraySync()).toEqual([[19, 22], [43, 50]])
  })

  it("runs the kernels that used what Node 23 took away", () => {
    const { indices, values } = tf.topk(tf.tensor1d([3, 1, 4, 1, 5]), 2)
    expect([Array.from(values.dataSync()), Array.from(indices.dataSync())]).toEqual([[5, 4], [4, 2]])
  })

  it("attaches the methods that kernels call on tensors", () => {
    expect(Array.from(tf.exp(tf.tensor1d([0, 0], "int32")).dataSync())).toEqual([1, 1])
    expect(tf.argMax(tf.tensor1d([true, false, true], "bool")).dataSync()[0]).toBe(0)
  })

  it("prints nothing where all is well", () => {
    const program = `import { load } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "../../src/engine/index.mjs")).href)}; load()`
    const { TF_CPP_MIN_LOG_LEVEL: _, ...env } = process.env
    const { status, stderr, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { env, encoding: "utf8" })
    expect({ status, stderr, stdout }).toEqual({ status: 0, stderr: "", stdout: "" })
  })

  it("takes the number of threads from ELF_STREAMS_THREADS", () => {
    const program = `import { load } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "../../src/engine/index.mjs")).href)}
      console.log(load().threads, process.env.TF_NUM_INTRAOP_THREADS)`
    const env = { ...process.env, ELF_STREAMS_THREADS: "1" }
    expect(spawnSync(process.execPath, ["--input-type=module", "-e", program], { env, encoding: "utf8" }).stdout).toBe("1 1\n")
  })
})

describe("registerGradients", () => {
  const core = join(createRequire(import.meta.url).resolve("@tensorflow/tfjs-core/package.json"), "../dist")

  it("registers every gradient that TensorFlow.js has", () => {
    registerGradients(tf)
    const source = readFileSync(join(core, "register_all_gradients.js"), "utf8")
    const files = [...source.matchAll(/from '\.\/gradients\/(\w+)'/g)].map((match) => match[1])
    const names = files.map((file) => /kernelName: (\w+)/.exec(readFileSync(join(core, "gradients", `${file}.js`), "utf8"))?.[1] ?? "")
    expect(names.length).toBeGreaterThan(100)
    const exported: Readonly<Record<string, unknown>> = { ...tf }
    expect(names.filter((name) => tf.getGradient(String(exported[name])) === undefined)).toEqual([])
  })

  it.runIf(native)("gives the slopes of finite differences", () => {
    const x = tf.tensor2d([0.3, -0.7, 1.1, 0.9, -0.2, 0.4], [2, 3])
    const functions: Record<string, (x: tf.Tensor) => tf.Tensor> = {
      matMul: (x) => tf.sum(tf.square(tf.matMul(x as tf.Tensor2D, tf.tensor2d([1, 2, -1, 0.5, 0.3, -2], [3, 2])))),
      softmax: (x) => tf.sum(tf.mul(tf.softmax(x), tf.tensor1d([1, 2, 3]))),
      logSoftmax: (x) => tf.sum(tf.mul(tf.logSoftmax(x as tf.Tensor2D), tf.tensor1d([1, 0, 2]))),
      gather: (x) => tf.sum(tf.square(tf.gather(x, tf.tensor1d([1, 1, 0], "int32")))),
      batchGather: (x) => tf.sum(tf.square(tf.gather(x, tf.tensor2d([[2], [0]], [2, 1], "int32"), 1, 1))),
      normalize: (x) => tf.sum(tf.mul(tf.mul(x, tf.rsqrt(tf.mean(tf.square(x), 1, true))), tf.tensor1d([1, -1, 2]))),
      sigmoid: (x) => tf.sum(tf.mul(x, tf.sigmoid(x))),
      concatSlice: (x) => tf.sum(tf.square(tf.slice(tf.concat([x, tf.neg(x)], 1), [0, 1], [2, 3]))),
      transposeMax: (x) => tf.sum(tf.max(tf.transpose(x), 0)),
      where: (x) => tf.sum(tf.where(tf.tensor2d([1, 0, 1, 1, 0, 1], [2, 3], "bool"), tf.exp(x), tf.mul(x, 2)))
    }
    for (const [name, f] of Object.entries(functions)) {
      const slopes = tf.grad(f)(x).dataSync()
      const h = 1e-2
      const differences = Array.from(slopes, (_, index) => {
        const shift = tf.reshape(tf.oneHot(tf.scalar(index, "int32"), 6, h, 0, "float32"), [2, 3])
        return tf.sub(f(tf.add(x, shift)), f(tf.sub(x, shift))).dataSync()[0]! / (2 * h)
      })
      differences.forEach((difference, index) => expect(Math.abs(difference - slopes[index]!), `${name}[${index}]`).toBeLessThan(5e-3))
    }
  })
})

describe("moduleLoader", () => {
  const folder = mkdtempSync(join(tmpdir(), "loader-"))
  const save = (name: string, source: string): string => {
    writeFileSync(join(folder, name), source)
    return join(folder, name)
  }

  it("loads CommonJS with our answers, each file once", () => {
    save("part.js", "exports.calls = (exports.calls || 0) + 1")
    const main = save("main.js", "exports.sum = require('core').one + require('./part').calls + require('./part.js').calls")
    expect(moduleLoader((request) => request === "core" ? { one: 1 } : undefined)(main).sum).toBe(3)
  })

  it("loads ES modules of the plain form", () => {
    save("base.js", "export const half = 0.5;\nexport function twice(x) { return 2 * x; }\nexport class Box {}\nexport var Rank;\nRank = 2;")
    save("again.js", "export * from './base';\nimport './base';")
    const main = save("entry.js", "import { half as a, twice } from './again';\nimport * as all from './base';\nconst r = twice(a) + all.Rank;\nexport { r as result };\n")
    const { result } = moduleLoader(() => undefined)(main)
    expect(result).toBe(3)
  })

  it("refuses a form that it does not know, and a request that nobody answers", () => {
    expect(() => toCommonJs("export default 1", "file.js")).toThrow(/file\.js has a statement of an unexpected form: export default 1/)
    expect(() => moduleLoader(() => undefined)(save("lost.js", "require('left-pad')"))).toThrow(/Unexpected request for left-pad/)
  })
})

describe("withoutNotices", () => {
  it("keeps warnings and errors of a library's log", () => {
    const log = [
      "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
      "I0000 00:00:1 port.cc:153] oneDNN custom operations are on.",
      "E0000 00:00:2 cuda.cc:9] failed call to cuInit",
      "libcuda.so.1: cannot open shared object file"
    ].join("\n")
    expect(withoutNotices(log).split("\n")).toEqual(log.split("\n").slice(2))
    expect(withoutNotices("")).toBe("")
  })
})

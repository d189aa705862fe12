/** The networks that bench/results/findings.ts compares differ in what a finding is about, and in nothing else. */
import { assert, describe, expect, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { withoutContext } from "../bench/results/findings/tokenTable.ts"
import { runFile, type VariantName, variants } from "../bench/results/findings/variants.ts"
import { pointsOf, textsFile } from "../bench/results/findings/write.ts"
import { RunConfig, T5Folder } from "../src/io/index.ts"
import { Encoder } from "../src/model/Encoder.ts"
import { testEngine } from "./support/backend.ts"
import { encoderFolder } from "./support/encoders.ts"

const statistics = { mean: 0.1, standardDeviation: 1.1 }
const decoded = (variant: VariantName, seed = 0) => Effect.runPromise(RunConfig.decode(runFile({ variant, seed }, 400, statistics)))

/** Paths of the values in which two run files differ. */
const differences = (a: object, b: object, path = ""): ReadonlyArray<string> =>
  [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) => {
    const [x, y] = [a, b].map((each) => (each as Record<string, unknown>)[key])
    if (typeof x === "object" && typeof y === "object" && x !== null && y !== null) return differences(x, y, `${path}${key}.`)
    return x === y ? [] : [`${path}${key}`]
  })

const places = ["checkpoint.directory", "log.file"]

const changed: Readonly<Record<VariantName, ReadonlyArray<string>>> = {
  base: [],
  larger: ["model.hidden"],
  tokens: ["encoder.path", "encoder.latentMean", "encoder.latentStandardDeviation", "flow.noiseScale", "flow.decoderNoiseScale"],
  tokensSameNoise: ["encoder.path", "encoder.latentMean", "encoder.latentStandardDeviation"],
  denoiser: ["flow.decoderProbability"],
  decoder: ["flow.decoderProbability"],
  briefDecoder: ["flow.decoderProbability", "optimizer.steps"]
}

describe("the networks of the findings", () => {
  it.each(Object.keys(variants) as ReadonlyArray<VariantName>)("%s differs from the base in what it is about", async (variant) => {
    const own = differences(await decoded("base"), await decoded(variant))
    expect(own.filter((path) => !places.includes(path)).toSorted()).toEqual(changed[variant].toSorted())
    expect(places.every((path) => own.includes(path))).toBe(variant !== "base")
  })

  it("seeds differ in the seed, and no two points share a file", async () => {
    expect(differences(await decoded("base", 0), await decoded("base", 1))).toEqual(["seed", ...places])
    const points = [0, 1, 2].flatMap(pointsOf)
    expect(new Set(points.map(textsFile)).size).toBe(points.length)
  })
})

layer(testEngine)("the encoder without context", (it) => {
  it.effect("has for each token its own vector, normalised, wherever it stands", () =>
    Effect.gen(function*() {
      const weights = yield* T5Folder.load(encoderFolder("t5-v1.0"))
      const { d_model: width } = weights.config
      const ids = Int32Array.of(5, 9, 5, 7, 5, 9)
      const latents = yield* Effect.flatMap(Encoder, ({ embed }) => embed({ size: 2, length: 3, ids })).pipe(
        Effect.provide(Encoder.layerT5(withoutContext(weights), { mean: 0, standardDeviation: 1 }))
      )
      const table = weights.tensors.find(({ name }) => name === "shared.weight")!.data
      ids.forEach((id, position) => {
        const own = table.subarray(id * width, (id + 1) * width)
        const rms = Math.sqrt(own.reduce((sum, x) => sum + x * x, 0) / width + 1e-6)
        own.forEach((x, channel) => assert.closeTo(latents[position * width + channel]!, x / rms, 1e-4))
      })
    }))
})

import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Solver, TimeGrid } from "../../src/flow/index.ts"
import { generate, type Generated } from "../../src/streams/generate.ts"
import type { GenerateOptions } from "../../src/streams/generatePlan.ts"
import { prefetch } from "../../src/streams/index.ts"
import { testEngine } from "../support/backend.ts"
import { chunkingInvariant, noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { tiny, tinyEncoder, tinyNetwork, tinyTokenizer } from "../support/tinyModel.ts"

const maximumCondition = 4

const generation: GenerateOptions & { readonly seed: number } = {
  solver: Solver.sde({ gamma: 1 }),
  timeSteps: TimeGrid.logitNormal({ steps: 3, seed: 1 }),
  batchSize: 3,
  maximumCondition,
  noiseScale: 2,
  timeEpsilon: 0.05,
  selfConditionScale: 2,
  guidanceScale: 1.5,
  selfConditioning: true,
  seed: 9
}

const prompts = ["war", "of", "peace and", "", "gold", "a", "the"]

const run = (of: ReadonlyArray<string> = prompts, options: Partial<typeof generation> = {}) =>
  Stream.fromIterable(of).pipe(generate({ ...generation, ...options }), Stream.runCollect)

const answers = (generated: ReadonlyArray<Generated>) => generated.map(({ answer }) => answer)

const services = Layer.mergeAll(
  Layer.provideMerge(Layer.mergeAll(tinyNetwork(), tinyEncoder), testEngine),
  tinyTokenizer
)

layer(services)("generate", (it) => {
  it.effect("answers every prompt once, in order", () =>
    Effect.gen(function*() {
      const out = yield* run()
      assert.deepStrictEqual(out.map(({ index, prompt }) => [index, prompt]), prompts.map((prompt, index) => [index, prompt]))
      for (const { answer, tokens } of out) {
        assert.strictEqual(answer === "" ? 0 : answer.split(" ").length, tokens)
        assert.isAtMost(tokens, tiny.length - maximumCondition)
      }
      assert.isAbove(new Set(answers(out)).size, 3, "different prompts have different answers")
    }))

  it.effect("answers do not depend on how many prompts go through the network at once", () =>
    Effect.gen(function*() {
      const reference = yield* run(prompts, { batchSize: 1 })
      for (const batchSize of [2, 3, 7, 20]) assert.deepStrictEqual(yield* run(prompts, { batchSize }), reference, `batches of ${batchSize}`)
    }))

  it.effect("an answer depends on the prompt, its index and the seed", () =>
    Effect.gen(function*() {
      const [war] = answers(yield* run(["war"]))
      assert.strictEqual(answers(yield* run(["war", "other"]))[0], war)
      assert.notStrictEqual(answers(yield* run(["peace"]))[0], war)
      assert.notStrictEqual(answers(yield* run(["other", "war"]))[1], war)
      assert.notStrictEqual(answers(yield* run(["war"], { seed: 10 }))[0], war)
    }))

  it.effect("a prompt over the maximum is cut to it", () =>
    Effect.gen(function*() {
      const long = "peace and prosperity to all nations"
      assert.deepStrictEqual(answers(yield* run([long])), answers(yield* run([long.slice(0, maximumCondition)])))
    }))

  it.effect("no prompts, no answers", () => Effect.map(run([]), (out) => assert.deepStrictEqual(out, [])))

  const stage = generate(generation)
  it.effect("chunking invariance", () => chunkingInvariant(stage, prompts))
  it.effect("look-ahead on either side changes nothing", () =>
    Effect.gen(function*() {
      const ahead = yield* Stream.fromIterable(prompts).pipe(prefetch(2), stage, prefetch(2), Stream.runCollect)
      assert.deepStrictEqual(ahead, yield* run())
    }))
  it.effect("no tensor is left", () => noTensorLeft(stage, prompts, "☠"))
  it.effect("nothing is left after interruption", () => nothingLeftAfterInterruption(stage, (index: number) => `prompt ${index}`))
})

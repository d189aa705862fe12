/** Short soaks of every kind, and AbortSignals: live tensors stay as many as they were. `scripts/soak.ts` runs the long ones. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { join } from "node:path"
import { readdirSync } from "node:fs"
import { TimeDistribution, TimeGrid } from "../../src/flow/index.ts"
import { Parquet } from "../../src/io/index.ts"
import { Backend } from "../../src/model/Backend.ts"
import { encode } from "../../src/streams/encode.ts"
import { generate } from "../../src/streams/generate.ts"
import { sample } from "../../src/streams/sample.ts"
import { score } from "../../src/streams/score.ts"
import { counting, inFolder, onDisk } from "../io/support.ts"
import { testEngine } from "../support/backend.ts"
import { tinyEncoder, tinyNetwork, tinyState, tinyTokenizer } from "../support/tinyModel.ts"
import { batches, training } from "../support/training.ts"
import { soak, soaks } from "./soak.ts"

layer(testEngine)("long runs", (it) => {
  const lengths = { train: 200, sample: 200, interrupt: 30 } as const
  it.effect.each(soaks.map((kind) => [kind] as const))("%s: live tensors are constant", ([kind]) =>
    Effect.gen(function*() {
      const { live } = yield* Backend
      const before = yield* live
      const { steps, tensors } = yield* soak(kind, lengths[kind], lengths[kind] / 10)
      assert.strictEqual(steps, lengths[kind])
      assert.strictEqual(tensors[0], tensors[1])
      assert.strictEqual(yield* live, before)
    }))

  /** Runs a stream until its `after`-th element aborts it. */
  const aborted = Effect.fnUntraced(function*<A, E, R>(stream: Stream.Stream<A, E, R>, after: number) {
    const context = yield* Effect.context<R>()
    const controller = new AbortController()
    let seen = 0
    const run = Stream.runForEach(stream, () => Effect.sync(() => { if (++seen === after) controller.abort() }))
    const exit = yield* Effect.promise(() => Effect.runPromiseExit(Effect.provideContext(run, context), { signal: controller.signal }))
    assert.isTrue(Exit.isFailure(exit) && Exit.hasInterrupts(exit), `after ${seen}: ${JSON.stringify(exit)}`)
    return seen
  })

  const prompts = Stream.map(Stream.range(0, 10_000), (i) => `prompt ${i}`)

  it.effect("an AbortSignal ends training, sampling, answering, encoding and scoring after the step in hand; no tensor is left", () =>
    Effect.gen(function*() {
      const { live } = yield* Backend
      const before = yield* live
      const streams = [
        training()(batches(10_000)),
        sample({ keys: [1, 2], seed: 1 })(Stream.fromIterable(TimeGrid.uniform(10_000))),
        generate({ steps: 3, seed: 1, batchSize: 2 })(prompts),
        encode({ length: 12, batchSize: 2 })(prompts),
        score({ seed: 1, draws: 2, batchSize: 2, timeDistribution: TimeDistribution.uniform, noiseScale: 1, timeEpsilon: 0.05 })(prompts)
      ] as const
      for (const stream of streams) {
        const seen = yield* aborted(stream as Stream.Stream<unknown, unknown, never>, 3)
        assert.isAtMost(seen, 4)
        assert.strictEqual(yield* live, before)
      }
    }).pipe(Effect.provide([tinyState(), tinyEncoder, tinyTokenizer])))

  it.effect("an AbortSignal between two files closes the one and removes the other", () =>
    inFolder((folder) => Effect.gen(function*() {
      const { disk, open } = counting()
      const input = join(folder, "in.parquet")
      yield* Stream.runDrain(Stream.map(Stream.range(0, 999), (i) => ({ prompt: `prompt ${i}` })).pipe(Parquet.write(input, { schema: { prompt: "string" } })))
      let told = 0
      const answers = Parquet.read(input, { column: "prompt" }).pipe(
        generate({ steps: 2, seed: 1, batchSize: 2 }),
        Stream.map(({ answer }) => ({ answer })),
        Stream.tap(() => Effect.sync(() => { told++ })),
        Parquet.write(join(folder, "out.parquet"), { schema: { answer: "string" }, rowGroupSize: 4 })
      )
      const context = yield* Effect.context<Backend>()
      const controller = new AbortController()
      const poll = setInterval(() => { if (told >= 6) controller.abort() }, 1)
      const run = Stream.runDrain(answers).pipe(onDisk(disk), Effect.provide([tinyNetwork(), tinyEncoder, tinyTokenizer]), Effect.provideContext(context))
      const exit = yield* Effect.promise(() => Effect.runPromiseExit(run, { signal: controller.signal }))
      clearInterval(poll)
      assert.isTrue(Exit.isFailure(exit) && Exit.hasInterrupts(exit))
      assert.isAbove(open.ever, 0)
      assert.strictEqual(open.now, 0)
      assert.deepStrictEqual(readdirSync(folder), ["in.parquet"])
    })))
})

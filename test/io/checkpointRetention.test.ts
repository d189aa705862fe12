import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync } from "node:fs"
import { Checkpoint, type Safetensors } from "../../src/io/index.ts"
import { inFolder } from "./support.ts"

const empty = (step: number) => ({ step, configuration: {}, sections: { model: [{ name: "w", shape: [1], data: Float32Array.of(step) }] } })

describe("what is kept, and what is written", () => {
  it.effect("every so many-th and the best are kept as well; what records no loss is never among the best", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        const losses: Readonly<Record<number, number>> = { 1: 5, 2: 1, 3: 4, 4: 2, 5: 3, 7: 9 }
        const options = { keep: 1, keepEvery: 3, keepBest: { count: 2, metric: "heldOutLoss" } }
        for (const step of [1, 2, 3, 4, 5, 6, 7, 8]) {
          const metadata = losses[step] === undefined ? {} : { heldOutLoss: losses[step] }
          yield* Checkpoint.write(run, { ...empty(step), metadata }, options)
        }
        assert.deepStrictEqual((yield* Checkpoint.list(run)).map(({ step }) => step), [2, 3, 4, 6, 8])
        for (const wrong of [{ keepEvery: 0 }, { keepBest: { count: -1, metric: "x" } }, { keep: 1.5 }]) {
          assert.strictEqual((yield* Effect.flip(Checkpoint.write(run, empty(9), wrong))).reason, "badInput")
        }
      })))
  it.effect("deferred tensors are read one after the other, each when it is written; a failure to read leaves the previous one", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const tensor = (name: string, read: Effect.Effect<Float32Array, "gone">): Safetensors.DeferredTensor<"gone"> =>
          ({ name, shape: [2], read: Effect.tap(read, () => Effect.sync(() => void seen.push(name))) })
        const sections = (last: Effect.Effect<Float32Array, "gone">) =>
          ({ model: [tensor("a", Effect.succeed(Float32Array.of(1, 2))), tensor("b", last)] })
        yield* Checkpoint.write(run, { ...empty(1), sections: sections(Effect.succeed(Float32Array.of(3, 4))) })
        assert.deepStrictEqual(seen, ["a", "b"])
        const read = yield* Effect.flatMap(Checkpoint.read(run), (checkpoint) => checkpoint.section("model"))
        assert.deepStrictEqual(read.get("b")!.data, Float32Array.of(3, 4))
        assert.strictEqual(yield* Effect.flip(Checkpoint.write(run, { ...empty(2), sections: sections(Effect.fail("gone")) })), "gone")
        const short = yield* Effect.flip(Checkpoint.write(run, { ...empty(2), sections: sections(Effect.succeed(Float32Array.of(1))) }))
        assert.match(String(short), /1 values do not make the shape \[2\]/)
        assert.deepStrictEqual(readdirSync(run).sort(), ["latest", "step-00000001"])
      })))
})

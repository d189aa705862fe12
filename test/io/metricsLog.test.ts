import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { MetricsLog } from "../../src/io/index.ts"
import { inFolder } from "./support.ts"

const log = (file: string, steps: ReadonlyArray<number>, options: MetricsLog.OpenOptions = {}) =>
  Effect.scoped(Effect.gen(function*() {
    const { append } = yield* MetricsLog.open(file, { syncEvery: 3, ...options })
    for (const step of steps) yield* append({ step, loss: step / 8, learningRate: 0.002, heldOutLoss: NaN })
  }))

const steps = (file: string) => Effect.map(MetricsLog.read(file), (lines) => lines.map(({ step }) => step))

describe("MetricsLog", () => {
  it.effect("one JSON object a line, read back in order; what is no number is null", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const file = join(folder, "deep", "metrics.jsonl")
        yield* log(file, [1, 2, 3, 4])
        assert.strictEqual(readFileSync(file, "utf8").split("\n")[1], "{\"step\":2,\"loss\":0.25,\"learningRate\":0.002,\"heldOutLoss\":null}")
        assert.deepStrictEqual(yield* steps(file), [1, 2, 3, 4])
      })))
  it.effect("a resumed run cuts off what came after its step, and its file equals the uninterrupted one's", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const [resumed, whole] = [join(folder, "resumed.jsonl"), join(folder, "whole.jsonl")]
        yield* log(whole, [1, 2, 3, 4, 5, 6])
        for (let last = 0; last <= 6; last++) {
          yield* log(resumed, [1, 2, 3, 4, 5, 6])
          yield* log(resumed, [1, 2, 3, 4, 5, 6].filter((step) => step > last), { resumeAfter: last })
          assert.strictEqual(readFileSync(resumed, "utf8"), readFileSync(whole, "utf8"))
        }
      })))
  it.effect("a line torn at any byte is removed, and the log goes on", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const file = join(folder, "metrics.jsonl")
        yield* log(file, [1, 2])
        const whole = readFileSync(file)
        const second = whole.indexOf("\n") + 1
        for (let length = second; length < whole.length; length++) {
          writeFileSync(file, whole.subarray(0, length))
          assert.deepStrictEqual(yield* steps(file), [1])
          yield* log(file, [2], { resumeAfter: 2 })
          assert.deepStrictEqual(readFileSync(file), whole)
        }
        appendFileSync(file, "\0\0\0\0\n")
        assert.deepStrictEqual(yield* steps(file), [1, 2])
      })))
  it.effect("a broken line in the middle is refused with its number; steps must not fall", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const file = join(folder, "metrics.jsonl")
        writeFileSync(file, "{\"step\":1}\nrubbish\n{\"step\":3}\n")
        const error = yield* Effect.flip(log(file, [4], { resumeAfter: 3 }))
        assert.deepInclude({ ...error }, { _tag: "MetricsLogError", line: 2, file })
        assert.include((yield* Effect.flip(log(file, [2, 1]))).message, "step 1 comes after step 2")
        assert.include((yield* Effect.flip(log(join(file, "below"), [1]))).message, `could not make the folder ${file}`)
      })))
  it.effect("a new run begins empty", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const file = join(folder, "metrics.jsonl")
        yield* log(file, [1, 2, 3])
        yield* log(file, [1])
        assert.deepStrictEqual(yield* steps(file), [1])
      })))
})

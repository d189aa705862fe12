import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Checkpoint, Safetensors } from "../../src/io/index.ts"
import { faulty, inFolder, onDisk } from "./support.ts"

const contents = (step: number): Checkpoint.Contents & { readonly sections: Record<string, ReadonlyArray<Safetensors.TensorToWrite>> } => ({
  step,
  configuration: { model: { hidden: 4 }, "10": "numeric keys too" },
  metadata: { rows: 7, loss: 0.1 },
  sections: {
    model: [
      { name: "block.weight", shape: [2, 2], data: Float32Array.of(step, 2, 3, 4) },
      { name: "block.bias", shape: [2], data: Float32Array.of(5, 6) }
    ],
    ema: [{ name: "block.weight", shape: [2, 2], data: Float32Array.of(7, 8, 9, step) }],
    optimizer: [{ name: "step", shape: [], data: Int32Array.of(step) }]
  }
})

const shapes = { "block.weight": [2, 2], "block.bias": [2] }

const stepIn = (run: string) =>
  Effect.gen(function*() {
    const checkpoint = yield* Checkpoint.read(run)
    const { model, optimizer } = contents(checkpoint.step).sections
    const read = yield* checkpoint.section("model")
    for (const { name, data } of model!) assert.deepStrictEqual(read.get(name)!.data, data)
    assert.deepStrictEqual((yield* checkpoint.section("optimizer")).get("step")!.data, [...optimizer!][0]!.data)
    assert.strictEqual((yield* checkpoint.section("ema")).get("block.weight")!.data[3], checkpoint.step)
    return checkpoint.step
  })

describe("write and read", () => {
  it.effect("a run's folder gives its latest checkpoint, a checkpoint's folder itself", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        const first = yield* Checkpoint.write(run, contents(100))
        yield* Checkpoint.write(run, contents(200))
        assert.strictEqual(first.path, join(run, "step-00000100"))
        assert.strictEqual(first.bytes, readdirSync(first.path).reduce((sum, name) => sum + statSync(join(first.path, name)).size, 0))
        assert.strictEqual(yield* stepIn(run), 200)
        assert.strictEqual(yield* stepIn(first.path), 100)
        const { configuration, metadata, sections } = yield* Checkpoint.read(run)
        assert.deepStrictEqual({ configuration, metadata }, { configuration: contents(1).configuration, metadata: contents(1).metadata! })
        assert.deepStrictEqual(sections, ["model", "ema", "optimizer"])
        assert.deepStrictEqual(readdirSync(run).sort(), ["latest", "step-00000100", "step-00000200"])
      })))
  it.effect("a section is opened lazily, tensor by tensor", () =>
    inFolder((run) =>
      Effect.scoped(Effect.gen(function*() {
        yield* Checkpoint.write(run, contents(5))
        const file = yield* Effect.flatMap(Checkpoint.read(run), (checkpoint) => checkpoint.open("model"))
        assert.deepStrictEqual((yield* file.read("block.bias")).data, Float32Array.of(5, 6))
      }))))
  it.effect("the last so many are kept", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        for (const step of [1, 2, 3, 4, 5]) yield* Checkpoint.write(run, contents(step), { keep: 2 })
        assert.deepStrictEqual((yield* Checkpoint.list(run)).map(({ step }) => step), [4, 5])
        assert.deepStrictEqual(readdirSync(run).length, 3)
      })))
  it.effect("every so many-th and the best are kept as well; what records no loss is never among the best", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        const losses: Readonly<Record<number, number>> = { 1: 5, 2: 1, 3: 4, 4: 2, 5: 3, 7: 9 }
        const options = { keep: 1, keepEvery: 3, keepBest: { count: 2, metric: "heldOutLoss" } }
        for (const step of [1, 2, 3, 4, 5, 6, 7, 8]) {
          const metadata = losses[step] === undefined ? {} : { heldOutLoss: losses[step] }
          yield* Checkpoint.write(run, { ...contents(step), metadata }, options)
        }
        assert.deepStrictEqual((yield* Checkpoint.list(run)).map(({ step }) => step), [2, 3, 4, 6, 8])
        for (const wrong of [{ keepEvery: 0 }, { keepBest: { count: -1, metric: "x" } }, { keep: 1.5 }]) {
          assert.strictEqual((yield* Effect.flip(Checkpoint.write(run, contents(9), wrong))).reason, "badInput")
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
        yield* Checkpoint.write(run, { ...contents(1), sections: sections(Effect.succeed(Float32Array.of(3, 4))) })
        assert.deepStrictEqual(seen, ["a", "b"])
        const read = yield* Effect.flatMap(Checkpoint.read(run), (checkpoint) => checkpoint.section("model"))
        assert.deepStrictEqual(read.get("b")!.data, Float32Array.of(3, 4))
        assert.strictEqual(yield* Effect.flip(Checkpoint.write(run, { ...contents(2), sections: sections(Effect.fail("gone")) })), "gone")
        const short = yield* Effect.flip(Checkpoint.write(run, { ...contents(2), sections: sections(Effect.succeed(Float32Array.of(1))) }))
        assert.match(String(short), /1 values do not make the shape \[2\]/)
        assert.deepStrictEqual(readdirSync(run).sort(), ["latest", "step-00000001"])
      })))
  it.effect("a step written again replaces the older one, and a run taken back keeps its later steps apart", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        for (const step of [1, 2, 3]) yield* Checkpoint.write(run, contents(step), { keep: 3 })
        yield* Checkpoint.write(run, contents(2), { keep: 3 })
        assert.strictEqual(yield* stepIn(run), 2)
        assert.deepStrictEqual((yield* Checkpoint.list(run)).map(({ name }) => name), ["step-00000001", "step-00000002-2", "step-00000003"])
      })))
  it.effect("what an interrupted write left behind is removed by the next", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        mkdirSync(join(run, ".step-00000009.1-abcd.partial"))
        writeFileSync(join(run, ".step-00000009.1-abcd.partial", "model.safetensors"), "half")
        writeFileSync(join(run, ".latest.1-ab.partial"), "ste")
        yield* Checkpoint.write(run, contents(1))
        assert.deepStrictEqual(readdirSync(run).sort(), ["latest", "step-00000001"])
      })))
  it.effect("the shipped layout in F16 is read by the same reader, and replaced as a whole", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "models", "small")
        const half = (value: number): Checkpoint.Contents => ({
          ...contents(3),
          sections: { model: [{ name: "w", shape: [2], data: Float32Array.of(value, 0.1), dtype: "F16" }] }
        })
        yield* Checkpoint.writeFolder(path, half(1))
        yield* Checkpoint.writeFolder(path, half(2))
        assert.deepStrictEqual(readdirSync(path).sort(), ["checkpoint.json", "model.safetensors"])
        assert.deepStrictEqual(readdirSync(join(folder, "models")), ["small"])
        const read = yield* Effect.flatMap(Checkpoint.read(path), (checkpoint) => checkpoint.section("model"))
        assert.deepStrictEqual(Array.from(read.get("w")!.data), [2, 0.0999755859375])
      })))
})

describe("what is not loaded", () => {
  it.effect("a bit flipped in any byte of any file", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        const { path } = yield* Checkpoint.write(run, contents(12))
        let refused = 0
        let tried = 0
        for (const name of readdirSync(path)) {
          const whole = readFileSync(join(path, name))
          for (let at = 0; at < whole.length; at += 7) {
            const bytes = Buffer.from(whole)
            bytes[at]! ^= 1 << (at % 8)
            writeFileSync(join(path, name), bytes)
            const exit = yield* Effect.exit(stepIn(run))
            tried++
            if (Exit.isSuccess(exit)) continue
            refused++
            assert.instanceOf(yield* Effect.flip(exit), Checkpoint.CheckpointError)
          }
          writeFileSync(join(path, name), whole)
        }
        // Only white space of the manifest may change without a change of meaning.
        const blanks = readFileSync(join(path, "checkpoint.json"), "utf8").match(/\s/g)!.length
        assert.isAtMost(tried - refused, blanks)
        assert.isAbove(refused, 100)
        assert.strictEqual(yield* stepIn(run), 12)
      })))
  it.effect("tensors of another shape: missing, unexpected and mis-shaped ones are all listed", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        yield* Checkpoint.write(run, contents(1))
        const checkpoint = yield* Checkpoint.read(run)
        yield* checkpoint.expect("model", shapes)
        const error = yield* Effect.flip(checkpoint.expect("model", { "block.weight": [4, 2], "head.bias": [9] }))
        assert.strictEqual(error.reason, "shape")
        assert.deepStrictEqual(error.mismatches, [
          { tensor: "block.weight", expected: [4, 2], actual: [2, 2] },
          { tensor: "head.bias", expected: [9] },
          { tensor: "block.bias", actual: [2] }
        ])
        for (const words of ["block.weight is [2, 2] instead of [4, 2]", "1 missing (head.bias [9])", "1 not expected (block.bias [2])"]) {
          assert.include(error.message, words)
        }
      })))
  it.effect("a section it has not, a later format, another program's JSON, no checkpoint at all", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        const { path } = yield* Checkpoint.write(run, contents(1))
        const checkpoint = yield* Checkpoint.read(run)
        assert.match((yield* Effect.flip(checkpoint.section("modle"))).message, /did you mean "model"\?$/)
        assert.strictEqual((yield* Effect.flip(checkpoint.section("constructor"))).reason, "missing")

        const manifest = JSON.parse(readFileSync(join(path, "checkpoint.json"), "utf8"))
        writeFileSync(join(path, "checkpoint.json"), JSON.stringify({ ...manifest, version: 2 }))
        assert.strictEqual((yield* Effect.flip(Checkpoint.read(path))).reason, "unsupported")
        writeFileSync(join(path, "checkpoint.json"), "{\"weights\":1}")
        assert.include((yield* Effect.flip(Checkpoint.read(run))).message, "not one of elf-streams")
        rmSync(path, { recursive: true })
        assert.include((yield* Effect.flip(Checkpoint.read(run))).message, "step-00000001")
        writeFileSync(join(run, "latest"), "../../etc\n")
        assert.strictEqual((yield* Effect.flip(Checkpoint.read(run))).reason, "damaged")
        for (const nowhere of [join(run, "nowhere"), join(run, "latest")]) {
          assert.strictEqual((yield* Effect.flip(Checkpoint.read(nowhere))).reason, "missing")
        }
      })))
  it.effect("contents that make no checkpoint are refused before anything is written", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        const circle: Record<string, unknown> = {}
        circle["self"] = circle
        const bad: ReadonlyArray<Checkpoint.Contents> = [
          { ...contents(-1) },
          { ...contents(1), sections: { "../x": [] } },
          { ...contents(1), configuration: circle },
          { ...contents(1), sections: { model: [{ name: "a", shape: [3], data: Float32Array.of(1) }] } }
        ]
        for (const one of bad) assert.instanceOf(yield* Effect.flip(Checkpoint.write(run, one)), Checkpoint.CheckpointError)
        assert.strictEqual((yield* Effect.flip(Checkpoint.write(run, contents(1), { keep: 0 }))).reason, "badInput")
        assert.deepStrictEqual(readdirSync(run), [])
      })))
})

describe("a failure at any moment", () => {
  const operations = (run: string) =>
    Effect.gen(function*() {
      const { disk, done } = faulty(-1)
      yield* Checkpoint.write(run, contents(9), { keep: 1 }).pipe(onDisk(disk))
      return done
    })
  for (const [what, code, dead] of [["a full disk", "ENOSPC", false], ["a broken disk", "EIO", false], ["a kill", "EIO", true]] as const) {
    it.effect(`${what} at any operation leaves a whole checkpoint, and the next write mends the rest`, () =>
      inFolder((folder) =>
        Effect.gen(function*() {
          yield* Checkpoint.write(join(folder, "count"), contents(8), { keep: 1 })
          const done = yield* operations(join(folder, "count"))
          assert.includeMembers(done, ["makeFolder", "open", "append", "sync", "syncFolder", "rename", "remove"])
          for (let failAt = 0; failAt < done.length; failAt++) {
            const run = join(folder, `run-${failAt}`)
            yield* Checkpoint.write(run, contents(8), { keep: 1 })
            const exit = yield* Effect.exit(Checkpoint.write(run, contents(9), { keep: 1 }).pipe(onDisk(faulty(failAt, code, dead).disk)))
            if (Exit.isFailure(exit)) assert.strictEqual((yield* Effect.flip(exit)).reason, "disk")
            assert.include([8, 9], yield* stepIn(run), `after a failed ${done[failAt]} (${failAt})`)
            if (Exit.isSuccess(exit)) assert.strictEqual(yield* stepIn(run), 9)
            yield* Checkpoint.write(run, contents(10), { keep: 1 })
            assert.strictEqual(yield* stepIn(run), 10)
            assert.deepStrictEqual(readdirSync(run).sort(), ["latest", "step-00000010"])
          }
        })))
  }
  it.effect("a first checkpoint whose pointer was never written is found all the same", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        yield* Checkpoint.write(run, contents(4))
        rmSync(join(run, "latest"))
        assert.strictEqual(yield* stepIn(run), 4)
      })))
  it.effect("an interruption leaves the previous one and nothing half-done", () =>
    inFolder((run) =>
      Effect.gen(function*() {
        yield* Checkpoint.write(run, contents(1))
        for (let turns = 0; turns < 12; turns++) {
          const fiber = yield* Effect.forkChild(Checkpoint.write(run, contents(2)))
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, turns / 4)))
          yield* Fiber.interrupt(fiber)
          assert.include([1, 2], yield* stepIn(run))
          assert.isFalse(readdirSync(run).some((name) => name.endsWith(".partial")))
          assert.isTrue(existsSync(join(run, "latest")))
        }
      })))
})

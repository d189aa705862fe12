/**
 * A process without libtensorflow: apart from the other tests of engines, since a library once loaded stays.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { load } from "../../src/engine/index.mjs"
import { Backend } from "../../src/model/Backend.ts"

const saved = { ...process.env }

beforeAll(() => {
  process.env["ELF_STREAMS_CACHE"] = mkdtempSync(join(tmpdir(), "fallback-"))
  process.env["PATH"] = ""
  delete process.env["ELF_STREAMS_ENGINE"]
})

afterAll(() => {
  process.env = { ...saved }
})

it.effect("goes on with WebAssembly and says why in one line", () => {
  const lines: Array<string> = []
  const listening = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
  return Effect.gen(function*() {
    expect((yield* Backend).engine).toBe("wasm")
    expect(lines).toEqual([
      "The tensorflow engine cannot be used: the tensor engine is not installed. Install it with `elf engine install`. Going on with the wasm engine."
    ])
  }).pipe(Effect.provide(Backend.layer), Effect.provide(listening))
})

it("fails with the remedy where libtensorflow is asked for by name", () => {
  expect(() => load()).toThrow("the tensor engine is not installed. Install it with `elf engine install`.")
})

it.effect("does not fall back where libtensorflow is chosen", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(Effect.provide(Backend, Backend.layerTensorFlow))
    expect(error).toMatchObject({ _tag: "EngineUnavailableError", engine: "tensorflow" })
  }))

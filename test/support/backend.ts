/**
 * Engines for tests. A missing engine fails the tests that need it; `ELF_STREAMS_ALLOW_MISSING_ENGINE=1` skips them
 * instead, and says so.
 */
import { describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Backend, type Engine, type EngineUnavailableError } from "../../src/model/Backend.ts"

const missingAllowed = process.env["ELF_STREAMS_ALLOW_MISSING_ENGINE"] === "1"
const hint = "Set ELF_STREAMS_ALLOW_MISSING_ENGINE=1 to run the tests without it."

const layers: Readonly<Record<Engine, Layer.Layer<Backend, EngineUnavailableError>>> = {
  tensorflow: Backend.layerTensorFlow,
  wasm: Backend.layerWasm,
  cpu: Backend.layerCpu
}

const orDie = (engine: Layer.Layer<Backend, EngineUnavailableError>): Layer.Layer<Backend> =>
  Layer.catchTag(engine, "EngineUnavailableError", ({ message }) => Layer.effect(Backend, Effect.die(new Error(`${message} ${hint}`))))

/** Says so when tests that are meant for libtensorflow run on something else. */
const announced = Layer.effect(Backend, Effect.tap(Backend, ({ description, engine }) =>
  Effect.sync(() => engine === "tensorflow" || process.stderr.write(`\nThese tests run on ${description}, not on libtensorflow.\n`))))

/**
 * The engine that most tests run on: libtensorflow. With missing engines allowed it is the best there is, and
 * `ELF_STREAMS_ENGINE` chooses another one.
 */
export const testEngine: Layer.Layer<Backend> = Layer.provide(
  announced,
  orDie(missingAllowed || process.env["ELF_STREAMS_ENGINE"] !== undefined ? Backend.layer : Backend.layerTensorFlow)
)

/** Why `engine` cannot be had; undefined when it can. */
const missing = (engine: Engine): Promise<string | undefined> =>
  Effect.scoped(Layer.build(layers[engine])).pipe(
    Effect.match({ onSuccess: () => undefined, onFailure: ({ message }) => message }),
    Effect.runPromise
  )

/** Registers `body` once for each of `engines`. */
export const onEngines = async (
  engines: ReadonlyArray<Engine>,
  body: (it: Vitest.MethodsNonLive<Backend>, engine: Engine) => void
): Promise<void> => {
  for (const engine of engines) {
    const why = await missing(engine)
    if (why === undefined) layer(orDie(layers[engine]))(`on the ${engine} engine`, (it) => body(it, engine))
    else if (missingAllowed) {
      process.stderr.write(`\nNOT TESTED on the ${engine} engine: ${why}\n`)
      describe.skip(`on the ${engine} engine (missing)`, () => it("is not tested", () => {}))
    } else describe(`on the ${engine} engine`, () => it("is there", () => { throw new Error(`${why} ${hint}`) }))
  }
}

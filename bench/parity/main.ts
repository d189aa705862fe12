/**
 * Compares this library with numbers of the reference: `node bench/parity/main.ts DIR [--json] [--engine ENGINE]`.
 * Exit code 0: every case passed; 1: one failed, is unknown or was not run; 2: the command is wrong.
 */
import { parseArgs } from "node:util"
import { Effect, type Layer } from "effect"
import { Backend, type Engine, type EngineUnavailableError } from "../../src/model/Backend.ts"
import { openDirectory } from "./Directory.ts"
import { runDirectory } from "./run.ts"
import { table } from "./table.ts"

const usage = "Usage: npm run parity -- DIR [--json] [--engine tensorflow|wasm|cpu]"

/** `best` stands for the best there is, as for every other command. */
const engines: Readonly<Record<Engine | "best", Layer.Layer<Backend, EngineUnavailableError>>> = {
  best: Backend.layer,
  tensorflow: Backend.layerTensorFlow,
  wasm: Backend.layerWasm,
  cpu: Backend.layerCpu
}

const request = () => {
  const { positionals: [path, ...rest], values: { engine = "best", json } } = parseArgs({
    allowPositionals: true,
    options: { json: { type: "boolean", default: false }, engine: { type: "string" } }
  })
  if (path === undefined || rest.length > 0) throw new Error("name one directory")
  if (!Object.hasOwn(engines, engine)) throw new Error(`no engine is called ${engine}`)
  return { directory: openDirectory(path), json, engine: engines[engine as Engine | "best"] }
}

const compare = ({ directory, engine, json }: ReturnType<typeof request>) =>
  Effect.gen(function*() {
    const { description } = yield* Backend
    const report = yield* runDirectory(directory, description)
    process.stdout.write(json ? `${JSON.stringify(report, finite, 1)}\n` : table(report))
    return report.passed ? 0 : 1
  }).pipe(Effect.provide(engine))

/** JSON has no infinity: an error without bound is a text. */
const finite = (_: string, value: unknown): unknown => value === Infinity ? "Infinity" : value

const refuse = (cause: unknown): number => {
  process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n${usage}\n`)
  return 2
}

const main = async (): Promise<number> => {
  let requested: ReturnType<typeof request>
  try {
    requested = request()
  } catch (cause) {
    return refuse(cause)
  }
  return Effect.runPromise(Effect.catch(compare(requested), (error) => Effect.sync(() => refuse(error))))
}

process.exitCode = await main()

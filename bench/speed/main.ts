/**
 * How fast this machine trains and samples: `npm run bench -- [mid|elfb|tiny|JSON] [JSON] [--json]`.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { Backend } from "../../src/model/Backend.ts"
import { configurationOf } from "./configuration.ts"
import { measure } from "./measure.ts"
import { table } from "./table.ts"

const { positionals, values: { json } } = parseArgs({ allowPositionals: true, options: { json: { type: "boolean", default: false } } })
const configuration = configurationOf(positionals)
// libtensorflow reads it once, when it is loaded.
process.env["ELF_STREAMS_THREADS"] = String(configuration.threads)

const figures = await Effect.runPromise(measure(configuration).pipe(Effect.provide(Backend.layer)))
process.stdout.write(json ? `${JSON.stringify(figures)}\n` : table(figures))

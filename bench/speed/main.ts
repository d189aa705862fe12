/**
 * How fast this machine trains and samples: `npm run bench -- [mid|elfb|tiny|JSON] [JSON] [--json]`.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { configurationOf } from "./configuration.ts"
import { measuredEngine, runBenchmark } from "./engine.ts"
import { measure } from "./measure.ts"
import { table } from "./table.ts"

const { positionals, values: { json } } = parseArgs({ allowPositionals: true, options: { json: { type: "boolean", default: false } } })
const configuration = configurationOf(positionals)

await runBenchmark(measure(configuration).pipe(
  Effect.map((figures) => void process.stdout.write(json ? `${JSON.stringify(figures)}\n` : table(figures))),
  Effect.provide(measuredEngine(configuration.threads))
))

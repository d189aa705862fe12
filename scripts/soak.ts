/**
 * Trains, samples and is interrupted thousands of times with the tiny network of the tests: live tensors have to stay as
 * many as they were, and the process must not grow. A table of marks goes to standard error, a line of JSON to standard output.
 *
 *     node --expose-gc scripts/soak.ts train|sample|interrupt [STEPS]
 */
import { Effect } from "effect"
import { Backend } from "../src/model/Backend.ts"
import { soak, soaks } from "../test/soak/soak.ts"

const [name, given] = process.argv.slice(2)
const kind = soaks.find((each) => each === name)
if (kind === undefined) throw new Error(`usage: node --expose-gc scripts/soak.ts ${soaks.join("|")} [STEPS]`)
const steps = Number(given ?? (kind === "interrupt" ? 1_000 : 10_000))
const largest = 1e6

const started = performance.now()
const tell = ({ resident, step, tensors }: { readonly step: number; readonly tensors: number; readonly resident: number }) =>
  process.stderr.write(`${kind} ${step}/${steps}  live tensors ${tensors}  resident ${(resident / 1e6).toFixed(1)} MB  ${(step / ((performance.now() - started) / 1000)).toFixed(1)} steps/s\n`)

const { marks: _, ...report } = await Effect.runPromise(Effect.provide(soak(kind, steps, Math.max(1, steps / 40), tell), Backend.layer))
process.stdout.write(`${JSON.stringify({ kind, ...report, seconds: (performance.now() - started) / 1000 })}\n`)
// A thousand interrupted runs are as many steps as they took; the slope is for each thousand of them.
if (report.tensors[0] !== report.tensors[1] || report.slope > largest) process.exitCode = 1

/** The engine that is measured. */
import { Context, Effect, Layer } from "effect"
import { Backend } from "../../src/model/Backend.ts"

const warning = (description: string): string | undefined =>
  description.startsWith("libtensorflow") && (description.includes("own kernels") || description.includes("GPU"))
    ? undefined
    : `THESE ARE NOT THIS LIBRARY'S BEST FIGURES: they are those of ${description}, without its own kernels; see \`elf doctor\`\n`

/**
 * libtensorflow, unless `ELF_STREAMS_ENGINE` names another: where it is missing the benchmark fails, and a slower engine never
 * takes its place unasked. Without this library's own kernels a line on standard error says so. Call it before the engine is loaded.
 */
export const measuredEngine = (threads: number) => {
  // libtensorflow reads them once, when it is loaded.
  process.env["ELF_STREAMS_THREADS"] = String(threads)
  if ((process.env["ELF_STREAMS_ENGINE"] ?? "") === "") process.env["ELF_STREAMS_ENGINE"] = "tensorflow"
  return Layer.tap(Backend.layer, (context) => Effect.sync(() => {
    const line = warning(Context.get(context, Backend).description)
    if (line !== undefined) process.stderr.write(line)
  }))
}

/** Runs a benchmark to its end; what it fails of is one sentence, and exit code 1. */
export const runBenchmark = <E>(benchmark: Effect.Effect<void, E>): Promise<void> =>
  Effect.runPromise(benchmark).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })

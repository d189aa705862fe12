/**
 * Damages parquet files at random and reads them: counts what is refused, what reads as before and what reads as
 * something else (possible only where no checksum guards the bytes); stops at anything that is no `ParquetError`.
 *
 *     node scripts/fuzz-parquet.ts CASES FILE.parquet… [--bits]     --bits: one flipped bit each
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { digestBytes, mutate, unhandledDuring } from "../test/io/parquetBytes.ts"
import { numbers } from "../test/io/support.ts"

const onlyBits = process.argv.includes("--bits")
const [cases, ...paths] = process.argv.slice(2).filter((one) => one !== "--bits")
if (cases === undefined || paths.length === 0) throw new Error("usage: node scripts/fuzz-parquet.ts CASES FILE.parquet… [--bits]")

const flip = (original: Uint8Array, below: (bound: number) => number) => {
  const bytes = Uint8Array.from(original)
  bytes[below(bytes.length)]! ^= 1 << below(8)
  return bytes
}

const originals = paths.map((path) => new Uint8Array(readFileSync(path)))
const below = numbers(1)

const run = Effect.gen(function*() {
  const expected = yield* Effect.forEach(originals, digestBytes)
  const counts: Record<string, number> = { same: 0, different: 0 }
  let slowest = 0
  for (let i = 0; i < Number(cases); i++) {
    const which = i % originals.length
    const started = performance.now()
    const found = yield* digestBytes((onlyBits ? flip : mutate)(originals[which]!, below))
    slowest = Math.max(slowest, performance.now() - started)
    const outcome = typeof found !== "string" ? found.reason : found === expected[which] ? "same" : "different"
    counts[outcome] = (counts[outcome] ?? 0) + 1
    if (i % 2000 === 1999) console.error(`${i + 1} of ${cases}`)
  }
  return { counts, slowestMilliseconds: Math.round(slowest), residentMegabytes: Math.round(process.memoryUsage().rss / 1e6) }
})

const [found, unhandled] = await Effect.runPromise(unhandledDuring(run))
console.log(JSON.stringify({ ...found, unhandled: unhandled.length }))
process.exitCode = unhandled.length > 0 ? 1 : 0

/**
 * Damages files at random, and by design, and reads them: each case has to end in a value or a typed error, in bounded
 * time and memory. What does not is written to out/fuzz with the number that makes it again.
 *
 *     node scripts/fuzz.ts READER… [--cases 100000] [--seed 1] [--first 0] [--json]      READER: a name below, or all
 */
import { parseArgs } from "node:util"
import { fuzz, type Report, writeCase } from "../test/fuzz/fuzz.ts"
import { readers } from "../test/fuzz/readers/index.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { cases: { type: "string", default: "100000" }, seed: { type: "string", default: "1" }, first: { type: "string", default: "0" }, json: { type: "boolean", default: false } }
})
const names = positionals.includes("all") ? Object.keys(readers) : positionals
const unknown = names.find((name) => !Object.hasOwn(readers, name))
if (names.length === 0 || unknown !== undefined) throw new Error(`usage: node scripts/fuzz.ts READER… with a reader of: ${Object.keys(readers).join(", ")}, or all`)
const [cases, seed, first] = [values.cases, values.seed, values.first].map(Number) as [number, number, number]

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

const line = ({ cases, findings, read, reader, refused, seconds, worst }: Report): string =>
  `${reader}: ${cases} cases in ${seconds.toFixed(0)} s: ${read} read, ${refused} refused, ${findings.length} findings; ` +
  `worst case ${worst.milliseconds.toFixed(0)} ms, ${megabytes(worst.heap)} of heap and ${megabytes(worst.buffers)} of buffers allocated, peak grown by ${megabytes(worst.resident)}`

const watch = (reader: string) => {
  const started = performance.now()
  let said = started
  return (done: number) => {
    const now = performance.now()
    if (now - said < 5_000) return
    said = now
    const rate = done / ((now - started) / 1000)
    process.stderr.write(`${reader} ${done}/${cases}  ${rate.toFixed(0)}/s  ETA ${((cases - done) / rate).toFixed(0)} s\n`)
  }
}

for (const reader of names) {
  const report = await fuzz({ reader, seed, cases, first, progress: watch(reader) })
  for (const { detail, index, what } of report.findings) {
    const files = await writeCase(reader, seed, index, "out/fuzz")
    process.stderr.write(`${reader}, case ${index}: ${what}: ${detail}\n  ${files.join(" ")}\n  again: node scripts/fuzz.ts ${reader} --seed ${seed} --first ${index} --cases 1\n`)
    process.exitCode = 1
  }
  process.stdout.write(`${values.json ? JSON.stringify(report) : line(report)}\n`)
}

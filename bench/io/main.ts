/**
 * What reading, tokenising and writing cost without a model, on 200 thousand rows of text and of token lists: `Parquet.read`
 * and `Parquet.readIds` against hyparquet alone, whole pipelines against the libraries below them, and each stage's share.
 *
 *     npm run bench:io [-- ROWS]
 *
 * Each way of reading is run in turn, several times; the medians of the processor's time are compared, which other programs
 * on the machine change least.
 */
import { Effect, Stream } from "effect"
import { asyncBufferFromFile, parquetMetadataAsync, parquetScan } from "hyparquet"
import { compressors } from "hyparquet-compressors"
import { ByteWriter, ParquetWriter } from "hyparquet-writer"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { Tokenizer } from "../../src/model/index.ts"
import { tokenize } from "../../src/streams/index.ts"

const rows = Number(process.argv[2] ?? 200_000)
const repetitions = 5
const folder = mkdtempSync(join(tmpdir(), "elf-bench-"))
const path = join(folder, "rows.parquet")

const vocabulary = ["the", "state", "of", "union", "people", "naïve", "Government", "peace", "and", "commerce", "—", "1,000", "years"]

/** The same rows for everybody: row `i` has 20 to 120 words and 32 to 256 ids. */
const rowAt = (i: number) => {
  const draw = (k: number) => (Math.imul(i * 131 + k + 1, 2654435761) >>> 7) >>> 0
  const text = Array.from({ length: 20 + draw(0) % 101 }, (_, k) => vocabulary[draw(k) % vocabulary.length]).join(" ")
  return { text, ids: Int32Array.from({ length: 32 + draw(1) % 225 }, (_, k) => draw(k) % 32_100) }
}

const generate = Stream.range(0, rows - 1).pipe(
  Stream.map(rowAt),
  Parquet.write(path, { schema: { text: "string", ids: "list<int32>" } }),
  Stream.runDrain
)

/** hyparquet as its own documentation has it: every column chunk decoded, nothing checked, nothing made of it. */
const alone = async (column: string): Promise<number> => {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  let [count, rowStart] = [0, 0]
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    const scan = await parquetScan({ file, metadata, compressors, columns: [column] })
    count += (await scan.readColumn({ column, rowStart, rowEnd })).length
    rowStart = rowEnd
  }
  return count
}

const ours = <A>(stream: Stream.Stream<A, unknown>) => () => Effect.runPromise(Stream.runCount(stream))

interface Measured {
  /** Seconds of the processor, of this process. */
  readonly cpu: number
  readonly wall: number
}

const measure = async (run: () => Promise<unknown>): Promise<Measured> => {
  const [cpu, wall] = [process.cpuUsage(), performance.now()]
  const count = await run()
  if (count !== rows) throw new Error(`${String(count)} rows were read instead of ${rows}`)
  const { system, user } = process.cpuUsage(cpu)
  return { cpu: (user + system) / 1e6, wall: (performance.now() - wall) / 1000 }
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const compare = async (ways: Readonly<Record<string, () => Promise<unknown>>>): Promise<Record<string, Measured>> => {
  const found = new Map<string, Array<Measured>>(Object.keys(ways).map((name) => [name, []]))
  for (let i = 0; i <= repetitions; i++) {
    for (const [name, run] of Object.entries(ways)) {
      const measured = await measure(run)
      if (i > 0) found.get(name)!.push(measured) // the first round warms up
    }
  }
  return Object.fromEntries([...found].map(([name, all]) => [name, { cpu: median(all.map(({ cpu }) => cpu)), wall: median(all.map(({ wall }) => wall)) }]))
}

const tokenized = Parquet.read(path, { column: "text" }).pipe(tokenize)

/** The ids of a stream, written; how many rows they were. */
const written = (ids: Stream.Stream<Int32Array, unknown, Tokenizer>): Promise<number> =>
  Effect.runPromise(ids.pipe(
    Stream.map((row) => ({ ids: row })),
    Parquet.write(join(folder, "out.parquet"), { schema: { ids: "list<int32>" } }),
    Stream.runFold(() => 0, (sum, file) => sum + file.rows),
    Effect.provide(Tokenizer.layer)
  ))

const listSchema = [
  { name: "schema", num_children: 1 },
  { name: "ids", repetition_type: "REQUIRED", converted_type: "LIST", num_children: 1 },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", repetition_type: "REQUIRED", type: "INT32" }
] as const

/** The same with hyparquet, hyparquet-writer and, for text, the same tokenizer, a row group at a time and nothing around them. */
const pipelineAlone = async (column: "text" | "ids"): Promise<number> => {
  const { encodeBatch } = await Effect.runPromise(Effect.provide(Effect.map(Tokenizer, (tokenizer) => tokenizer), Tokenizer.layer))
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  const writer = new ByteWriter()
  const out = new ParquetWriter({ writer, schema: [...listSchema], codec: "SNAPPY" })
  let [count, rowStart] = [0, 0]
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    const scan = await parquetScan({ file, metadata, compressors, columns: [column] })
    const values = Array.from(await scan.readColumn({ column, rowStart, rowEnd }))
    const ids = column === "ids" ? values as Array<ArrayLike<number>> : []
    if (column === "text") {
      for (let i = 0; i < values.length; i += 256) ids.push(...await Effect.runPromise(encodeBatch(values.slice(i, i + 256) as Array<string>)))
    }
    void out.write({ columnData: [{ name: "ids", data: ids.map((row) => Array.from(row)) }], rowGroupSize: ids.length })
    count += ids.length
    rowStart = rowEnd
  }
  void out.finish()
  writeFileSync(join(folder, "alone.parquet"), writer.getBytes())
  return count
}

const say = (line: string) => process.stdout.write(`${line}\n`)
const thousands = (value: number) => Math.round(value).toLocaleString("en-US")

/** Runs a pipeline stage by stage, each time one more, and beside it what it is compared with. */
const pipeline = async (kind: string, stages: Readonly<Record<string, () => Promise<unknown>>>, alone: () => Promise<unknown>): Promise<void> => {
  let before = 0
  let last: Measured = { cpu: 0, wall: 0 }
  const costs: Array<readonly [string, number]> = []
  for (const [name, run] of Object.entries(stages)) {
    last = await measure(run)
    costs.push([name, last.cpu - before])
    before = last.cpu
  }
  const plain = await measure(alone)
  const names = Object.keys(stages).join(", ")
  say(`${kind}: ${names}: ${thousands(rows / last.wall)} rows/s, ${last.cpu.toFixed(1)} s of the processor (${costs.map(([name, cpu]) => `${name} ${((cpu / before) * 100).toFixed(0)} %`).join(", ")})`)
  say(`${kind}: the libraries alone: ${thousands(rows / plain.wall)} rows/s, ${plain.cpu.toFixed(1)} s of the processor; overhead of the pipeline ${((last.cpu / plain.cpu - 1) * 100).toFixed(0)} %`)
}

try {
  await Effect.runPromise(generate)
  say(`${thousands(rows)} rows, ${thousands(statSync(path).size / 1e6)} MB, Node ${process.version}`)
  const reads = await compare({
    "text, hyparquet alone": () => alone("text"),
    "text, Parquet.read": ours(Parquet.read(path, { column: "text" })),
    "ids, hyparquet alone": () => alone("ids"),
    "ids, Parquet.readIds": ours(Parquet.readIds(path, { column: "ids" }))
  })
  for (const [name, { cpu, wall }] of Object.entries(reads)) say(`${name}  ${thousands(rows / wall)} rows/s, ${cpu.toFixed(2)} s of the processor`)
  for (const [kind, name] of [["text", "Parquet.read"], ["ids", "Parquet.readIds"]] as const) {
    const more = reads[`${kind}, ${name}`]!.cpu / reads[`${kind}, hyparquet alone`]!.cpu - 1
    say(`${name} takes ${Math.abs(more * 100).toFixed(0)} % ${more > 0 ? "more" : "less"} of the processor than hyparquet alone`)
  }
  await pipeline("text", {
    read: ours(Parquet.read(path, { column: "text" })),
    tokenise: () => Effect.runPromise(Stream.runCount(tokenized).pipe(Effect.provide(Tokenizer.layer))),
    write: () => written(tokenized)
  }, () => pipelineAlone("text"))
  await pipeline("ids", {
    read: ours(Parquet.readIds(path, { column: "ids" })),
    write: () => written(Parquet.readIds(path, { column: "ids" }))
  }, () => pipelineAlone("ids"))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

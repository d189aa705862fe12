/**
 * Real pairs for the two conditional tasks, from what Debian ships: German → English sentences (the dictionary
 * `trans-de-en`, the help of LibreOffice, package descriptions), and long package description → synopsis.
 *
 *     node scripts/pairs.ts [FOLDER]        default FOLDER: out/pairs
 *
 * Fetches with apt's own client into `FOLDER/apt` (30 MB; no root, the system's lists stay as they are), aligns, cleans and
 * splits without leakage. Writes `de-en/` and `synopsis/`, each with `train`, `validation` and `test` as parquet (columns
 * input, output, source), `test.jsonl`, and `pairs.json`: counts, versions of the packages, and their licences.
 */
import { Effect, Layer, Stream } from "effect"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../src/io/index.ts"
import { Tokenizer } from "../src/model/Tokenizer.ts"
import * as Apt from "./pairs/apt.ts"
import { parseIndex, sourcePackages } from "./pairs/descriptions.ts"
import type { Pair } from "./pairs/Pair.ts"
import { split, type SplitSizes } from "./pairs/split.ts"
import { descriptionPairs, dictionaryPairs, helpPairs, synopsisPairs, withoutRepeats } from "./pairs/tasks.ts"

const packages = ["trans-de-en", "libreoffice-help-de", "libreoffice-help-en-us"] as const

const licences = {
  "trans-de-en": "GPL-2+, Frank Richter and contributors, TU Chemnitz (dict.tu-chemnitz.de)",
  "libreoffice-help": "MPL-2.0, The Document Foundation and contributors",
  "package-descriptions": "as the packages that they describe; translations by the Debian Description Translation Project"
} as const

/** Longest texts of a task in pieces of the T5 vocabulary, and how much of it is held out. */
interface Task extends SplitSizes {
  readonly input: number
  readonly output: number
}

const tasks = {
  "de-en": { input: 22, output: 20, validation: 500, test: 1000, largestGroup: 20 },
  synopsis: { input: Number.POSITIVE_INFINITY, output: 15, validation: 500, test: 1000, largestGroup: 20 }
} as const satisfies Record<string, Task>

const help = (language: string, packaged: string): string => `libreoffice-help-${packaged}/usr/share/libreoffice/help/${language}/text`

const readHelp = Effect.fnUntraced(function*(folder: string) {
  const pages = (yield* Apt.filesBelow(join(folder, help("de", "de")))).filter((file) => file.endsWith(".html"))
  const english = new Set(yield* Apt.filesBelow(join(folder, help("en-US", "en-us"))))
  return (yield* Effect.forEach(pages.filter((page) => english.has(page)), (page) =>
    Effect.map(
      Effect.all([Apt.fileOf(folder, join(help("de", "de"), page)), Apt.fileOf(folder, join(help("en-US", "en-us"), page))]),
      ([german, english]) => helpPairs(german, english)
    ))).flat()
})

const readPairs = Effect.fnUntraced(function*(folder: string) {
  const descriptions = (language: string) =>
    Effect.map(Apt.indices(folder, "Translations", new RegExp(`Translation-${language}`)), (texts) => texts.flatMap((text) => parseIndex(text, language)))
  const [german, english] = [yield* descriptions("de"), yield* descriptions("en")]
  const sources = new Map((yield* Apt.indices(folder, "Packages", /Packages/)).flatMap((text) => [...sourcePackages(text)]))
  const dictionary = dictionaryPairs(yield* Apt.fileOf(folder, "trans-de-en/usr/share/trans/de-en"))
  return {
    "de-en": [...dictionary, ...(yield* readHelp(folder)), ...descriptionPairs(german, english)],
    synopsis: synopsisPairs(english, sources)
  }
})

/** Pairs whose texts are short enough for their task. */
const fitting = Effect.fnUntraced(function*(pairs: ReadonlyArray<Pair>, { input, output }: Task) {
  const { encodeBatch } = yield* Tokenizer
  const inputs = yield* encodeBatch(pairs.map((pair) => pair.input))
  const outputs = yield* encodeBatch(pairs.map((pair) => pair.output))
  return pairs.filter((_, i) => inputs[i]!.length <= input && outputs[i]!.length <= output)
})

const write = Effect.fnUntraced(function*(folder: string, name: string, pairs: ReadonlyArray<Pair>) {
  const rows = pairs.map(({ input, output, source }) => ({ input, output, source }))
  const stage = Parquet.write(join(folder, `${name}.parquet`), { schema: { input: "string", output: "string", source: "string" }, rowGroupSize: 4096 })
  yield* Stream.fromIterable<object>(rows).pipe(stage, Stream.runDrain)
  if (name === "test") writeFileSync(join(folder, `${name}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(""))
})

const bySource = (pairs: ReadonlyArray<Pair>) => Object.fromEntries(Array.from(Map.groupBy(pairs, ({ source }) => source), ([source, found]) => [source, found.length]))

const build = Effect.fnUntraced(function*(folder: string, name: keyof typeof tasks, found: ReadonlyArray<Pair>, versions: unknown) {
  const task = tasks[name]
  const distinct = withoutRepeats(found)
  const parts = split(yield* fitting(distinct, task), task)
  mkdirSync(folder, { recursive: true })
  for (const [part, pairs] of Object.entries(parts)) yield* write(folder, part, pairs)
  const counts = Object.fromEntries(Object.entries(parts).map(([part, pairs]) => [part, { pairs: pairs.length, ...bySource(pairs) }]))
  writeFileSync(join(folder, "pairs.json"), `${JSON.stringify({ task: name, versions, licences, found: found.length, distinct: distinct.length, ...counts }, null, 2)}\n`)
  console.log(`${folder}: ${found.length} pairs found, ${distinct.length} distinct; ${Object.entries(parts).map(([part, pairs]) => `${part} ${pairs.length}`).join(", ")}`)
})

const main = Effect.gen(function*() {
  const folder = process.argv[2] ?? "out/pairs"
  const fetched = join(folder, "apt")
  for (const name of packages) rmSync(join(fetched, name), { recursive: true, force: true })
  console.log(`fetching with apt-get into ${fetched}`)
  yield* Apt.update(fetched)
  const versions = yield* Apt.download(fetched, packages)
  const found = yield* readPairs(fetched)
  for (const name of Object.keys(tasks) as Array<keyof typeof tasks>) yield* build(join(folder, name), name, found[name], versions)
})

if (import.meta.main) {
  await Effect.runPromise(main.pipe(
    Effect.provide(Layer.mergeAll(Tokenizer.layer)),
    Effect.catch((error) =>
      Effect.sync(() => {
        console.error(error.message)
        process.exitCode = 1
      }))
  ))
}
